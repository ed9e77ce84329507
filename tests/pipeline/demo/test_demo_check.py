"""The comparison of a run with the truth: silent about a right run, loud about each way to be wrong."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.demo.check import check_run, funnel_faults
from pipeline.demo.command import main
from pipeline.demo.settings import DemoSettings
from pipeline.demo.truth import truth

SETTINGS = DemoSettings(pages=100)
EARLY = ("page_opt_out", "caption_empty", "caption_is_file_name", "url_scheme")  # collect's
FUNNEL = [
    {"stage": "collect", "step": "a", "rows_in": 10, "rows_out": 6, "merged": 1, "rejects": {"x": 2, "y": 1}},
    {"stage": "select", "step": "b", "rows_in": 6, "rows_out": 5, "merged": 0, "rejects": {"z": 1}},
]


def fates():
    return {row["uid"]: row["fate"] for row in truth(SETTINGS).to_pylist()}


def uid_of(kind):
    return next(row["uid"] for row in truth(SETTINGS).to_pylist() if row["kind"] == kind)


def write_run(run, fates, funnel=FUNNEL):
    """A run directory with these fates, as the stages leave one."""
    (run / "rejects").mkdir(parents=True)
    (run / "selection" / "main").mkdir(parents=True)
    early = [{"uid": uid, "reason": fate} for uid, fate in fates.items() if fate in EARLY]
    late = [
        {"uid": uid, "kept": fate == "kept", "reason": "" if fate == "kept" else fate}
        for uid, fate in fates.items()
        if fate not in EARLY
    ]
    pq.write_table(pa.Table.from_pylist(early), run / "rejects" / "part-0.parquet")
    pq.write_table(pa.Table.from_pylist(late), run / "selection" / "main" / "part-0.parquet")
    (run / "stats.json").write_text(json.dumps({"funnel": funnel}))
    return run


def test_a_run_that_agrees_with_the_truth_passes(tmp_path, capsys):
    run = write_run(tmp_path / "run", fates())
    lines, wrong = check_run(run, SETTINGS)
    assert wrong == []
    assert sum(line.planted for line in lines) > 100
    assert main(["check", str(run), "--pages", "100"]) == 0
    assert "agrees" in capsys.readouterr().out


@pytest.mark.parametrize(
    "kind", ["truncated", "robots_us", "page_meta", "mail_address", "redirect_private", "other_language"]
)
def test_one_defect_under_another_reason_is_found(kind, tmp_path, capsys):
    run = write_run(tmp_path / "run", fates() | {uid_of(kind): "internal_error"})
    _, wrong = check_run(run, SETTINGS)
    assert len(wrong) == 1
    assert wrong[0].startswith(kind)
    assert main(["check", str(run), "--pages", "100"]) == 1
    assert "internal_error 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("copy", "original", "is_right"),
    [
        ("exact_duplicate", "kept", True),
        ("kept", "exact_duplicate", True),  # whichever stays
        ("kept", "kept", False),
        ("exact_duplicate", "exact_duplicate", False),
        ("score_too_low", "kept", True),  # the scorer's matter
        ("near_duplicate", "kept", False),
    ],
)
def test_of_a_picture_and_its_copy_exactly_one_stays(copy, original, is_right, tmp_path):
    row = next(row for row in truth(SETTINGS).to_pylist() if row["kind"] == "exact_copy")
    other = next(r["uid"] for r in truth(SETTINGS).to_pylist() if r["url"] == row["copy_of"])
    run = write_run(tmp_path / "run", fates() | {row["uid"]: copy, other: original})
    assert (check_run(run, SETTINGS)[1] == []) is is_right


def test_too_many_wrong_captions_kept_are_found(tmp_path):
    wrong_uids = [row["uid"] for row in truth(SETTINGS).to_pylist() if row["kind"] == "hard_wrong"]
    most = len(wrong_uids) // 2 + 1
    run = write_run(tmp_path / "run", fates() | dict.fromkeys(wrong_uids[:most], "kept"))
    assert check_run(run, SETTINGS)[1] == [
        f"hard_wrong: {len(wrong_uids) - most} of {len(wrong_uids)} are score_too_low"
    ]


def test_a_strange_image_that_was_kept_is_found(tmp_path):
    run = write_run(tmp_path / "run", fates() | {b"\1" * 16: "kept"})
    assert "no image of the demo" in check_run(run, SETTINGS)[1][0]


def test_a_lost_image_is_found(tmp_path):
    left = fates()
    del left[uid_of("tiny")]
    assert check_run(write_run(tmp_path / "run", left), SETTINGS)[1] == ["tiny: 0 of 1 are image_too_small"]


def test_a_folder_without_a_run_is_told(tmp_path, capsys):
    assert main(["check", str(tmp_path / "nothing")]) == 2
    assert "no finished run" in capsys.readouterr().err


def test_a_funnel_must_sum_within_and_between_steps():
    assert funnel_faults(FUNNEL) == []
    assert funnel_faults([])
    assert "10 rows in, 9" in funnel_faults([FUNNEL[0] | {"merged": 0}, FUNNEL[1]])[0]
    assert (
        "6 rows before select/b, 7 into it" in funnel_faults([FUNNEL[0], FUNNEL[1] | {"rows_in": 7, "rows_out": 6}])[0]
    )
