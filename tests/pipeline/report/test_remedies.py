"""Where most of a stage's rows fell for one reason, a run says so, and what to do."""

import json
import re
from pathlib import Path

import pytest

from filters.reasons import Reason
from pipeline.report.remedies import NOT_SHOWN, REMEDIES, main_reasons
from pipeline.report.stats import step_of

SETTINGS = Path("docs/settings.md").read_text()


def test_every_reason_has_a_remedy():
    assert set(REMEDIES) | NOT_SHOWN == set(Reason)


@pytest.mark.parametrize("reason", REMEDIES)
def test_the_settings_that_it_names_exist(reason):
    for name in re.findall(r"\b(?:web|fetch|collect|score|select)(?:\.\w+)+", REMEDIES[reason]):
        assert f"`{name}" in SETTINGS, name
    for rule in re.findall(r"(?:of the rule|rule) (\w+)", REMEDIES[reason]):
        assert f"`{rule}`" in SETTINGS or rule == "of", rule


@pytest.mark.parametrize(("drops", "lines"), [
    ({"timeout": 51}, ["fetch: 51 of 100 fell for timeout: " + REMEDIES[Reason.TIMEOUT]]),
    ({"timeout": 50}, []),
    ({"timeout": 30, "http_status": 30}, []),
    ({}, []),
])  # fmt: skip
def test_a_reason_with_most_rows_is_said(drops, lines):
    funnel = [step_of("collect", "page", "occurrence", 100, {}, 100),
              step_of("fetch", "fetch", "candidate", 100, drops, 100 - sum(drops.values()))]  # fmt: skip
    assert main_reasons(funnel) == lines


def test_the_steps_of_a_stage_count_together():
    funnel = [step_of("select", "size", "candidate", 10, {"image_too_small": 3}, 7),
              step_of("select", "size_2", "candidate", 7, {"image_too_small": 3}, 4)]  # fmt: skip
    assert main_reasons(funnel)[0].startswith("select: 6 of 10 fell for image_too_small")
    assert main_reasons([step_of("select", "mine", "candidate", 3, {"too_blue": 3}, 0)])[0].endswith(
        "of your own said so"
    )


def test_a_run_whose_hosts_are_all_private_says_so(call, tmp_path):
    rows = [f"http://10.0.0.{n}/a.jpg,a red kite over the sea" for n in range(9)]
    (tmp_path / "t.csv").write_text("\n".join(["url,caption", *rows]))
    words = ["--set", f"collect.tables.paths=[{tmp_path}/t.csv]", "--set", "web.contact=me@example.org"]
    outcome = call("run", "urls", "--run-dir", "run", *words)
    assert outcome.code == 0, outcome.err
    assert "fetch: 9 of 9 fell for private_address" in outcome.out
    assert "web.allow_private" in outcome.out
    assert "web.allow_private" in (tmp_path / "run/report.html").read_text()
    assert len(json.loads((tmp_path / "run/stats.json").read_text())["main_reasons"]) == 1
