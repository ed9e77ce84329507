"""The report of a run: counts from the files themselves, a page that shows them and lets nothing out or in."""

import json
import re
from html.parser import HTMLParser

import pyarrow.parquet as pq
import pytest

from pipeline.report import card, html
from pipeline.report.charts import bar_chart, funnel_chart, histogram
from pipeline.report.examples import EACH, Example, find_examples
from pipeline.report.report import run_settings, write_report
from pipeline.report.stats import check_funnel, collect_stats, step_of
from pipeline.report.tables import reasons_text
from transforms.formats import parquet
from transforms.records import Candidate, Image, Reject, Selected


@pytest.fixture(scope="module")
def stats(finished):
    return collect_stats(str(finished))


def test_the_funnel_sums_and_its_figures_are_those_of_the_files(finished, stats):
    assert check_funnel(stats["funnel"], str(finished)) == []
    steps = {(s["stage"], s["step"]): s for s in stats["funnel"]}
    rejects = list(parquet.read_all(str(finished / "rejects"), "*.parquet", Reject))
    candidates = list(parquet.read_all(str(finished / "candidates"), "part-*.parquet", Candidate))
    assert steps["collect", "page"]["rows_in"] == sum(c.occurrences for c in candidates) + len(rejects)
    assert steps["collect", "merge"]["rows_out"] == len(candidates) == steps["fetch", "fetch"]["rows_in"]
    fates = list(parquet.read_all(str(finished / "selection/main"), "*.parquet", Selected))
    assert sum(sum(s["rejects"].values()) for s in stats["funnel"][4:]) == sum(not f.kept for f in fates)
    tables = [pq.read_table(p) for p in (finished / "shards/main").glob("*.parquet")]
    assert steps["pack", "pack"]["rows_out"] == sum(t.num_rows for t in tables) == sum(f.kept for f in fates)
    assert sum(stats["languages"].values()) == sum(f.kept for f in fates)


def test_the_head_of_a_column_stands_above_its_numbers():
    text = html.table(("format", "images", "<b>"), [("PNG", None, "x"), ("JPEG", 1_320, True)])
    assert '<th>format</th><th class="n">images</th><th>&lt;b&gt;</th>' in text
    assert '<td class="n">1,320</td>' in text
    assert "<th>a</th>" in html.table(("a",), [])


@pytest.mark.parametrize(("change", "words"), [
    ({"rows_out": 6}, "10 rows in, but"),
    ({"rows_in": 11, "merged": 1}, "11 rows in, 10 out of the step before"),
    ({"rows_out": 12, "merged": -5}, "a negative count"),
])  # fmt: skip
def test_a_funnel_that_does_not_add_up_is_told(change, words):
    good = [step_of("collect", "url", "occurrence", 12, {"url_invalid": 2}, 10),
            step_of("fetch", "fetch", "candidate", 10, {"timeout": 3}, 7)]  # fmt: skip
    assert check_funnel(good) == []
    assert any(words in fault for fault in check_funnel([good[0], good[1] | change]))


def test_occurrences_are_counted_in_two_places(finished_copy):
    path = next(iter(sorted((finished_copy / "rejects").glob("*.parquet"))))
    rows = list(parquet.read_rows(str(path), Reject))
    parquet.write_rows(str(path), Reject, rows[1:])
    assert any("among the rejects" in fault for fault in check_funnel(collect_stats(str(finished_copy))["funnel"],
                                                                      str(finished_copy)))  # fmt: skip


def test_a_run_that_is_half_done_has_a_shorter_funnel(finished_copy):
    for name in ("select.main.json", "pack.main.json"):
        (finished_copy / "manifest" / name).unlink()
    assert [s["stage"] for s in collect_stats(str(finished_copy))["funnel"]][-1] == "fetch"


def test_examples_are_few_and_the_same_every_time(finished):
    found = find_examples(str(finished), "main")
    assert all(1 <= len(examples) <= EACH for examples in found.values())
    assert find_examples(str(finished), "main") == found
    reasons = {reason for _, _, reason in found}
    assert {"robots", "opt_out", "caption_contact", "near_duplicate", "page_opt_out"} <= reasons


def test_private_data_are_nowhere_in_the_report(finished):
    addresses = {
        found for image in parquet.read_all(str(finished / "images"), "0000-*[0-9].parquet", Image)
        for found in re.findall(r"[\w.+-]+@[\w.-]+", image.caption)
    }  # fmt: skip
    assert addresses
    for name in ("report.html", "stats.json", "shards/main/README.md"):
        text = (finished / name).read_text()
        assert [a for a in addresses if a in text] == []


class Collector(HTMLParser):
    """Tags, and everything that a browser would fetch or run."""

    def __init__(self):
        super().__init__()
        self.tags, self.loads, self.links = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag != "a":  # followed by a person, not by the browser
            self.loads += [v for n, v in attributes if n in ("src", "href", "srcset", "action", "data") and v]
        self.links += [v for n, v in attributes if tag == "a" and n == "href"]
        self.loads += [n for n, _ in attributes if n.startswith("on")]


def test_the_page_needs_no_network_and_runs_nothing(finished):
    page = Collector()
    page.feed((finished / "report.html").read_text())
    assert page.loads == []
    assert page.links == ["report.main.html"]
    assert "script" not in page.tags
    assert {"svg", "table", "details"} <= set(page.tags)


def test_each_selection_has_a_report_and_the_newest_links_to_all(call, tmp_path):
    """The report of a second selection once took the place of the first's, and so did its stats."""
    (tmp_path / "t.csv").write_text("url,caption\nhttp://localhost:9/a.jpg,a red kite over the sea\n")
    (tmp_path / "none.yaml").write_text("select: {rules: []}\n")
    run = tmp_path / "run"
    assert call("run", "urls", "--run-dir", "run", "--set", "collect.tables.paths=[t.csv]").code == 0
    first = (run / "report.main.html").read_bytes()
    outcome = call("select", "run", "--policy", "none.yaml", "--name", "strict")
    assert outcome.code == 0, outcome.err
    assert "report.strict.html" in outcome.out
    assert (run / "report.main.html").read_bytes() == first
    names = {name: json.loads((run / f"stats.{name}.json").read_text())["name"] for name in ("main", "strict")}
    assert names == {"main": "main", "strict": "strict"}
    assert json.loads((run / "stats.json").read_text())["name"] == "strict"
    newest, own = Collector(), Collector()
    newest.feed((run / "report.html").read_text())
    own.feed((run / "report.strict.html").read_text())
    assert newest.links == ["report.strict.html", "report.main.html"]
    assert own.links == []
    assert [t for t in newest.tags if t != "a"] == own.tags
    assert call("report", "run").out.strip().endswith("report.main.html")
    assert json.loads((run / "stats.json").read_text())["name"] == "main"


def test_what_the_web_says_is_escaped(stats):
    evil = '<script>alert(1)</script>"onerror="x'
    examples = {("fetch", "fetch", "robots"): [Example(b"", evil, evil, 1.0, evil)]}
    hosts = [{"host": evil, "images": 1, "fetched": 0}]
    settings = {"select": {"rules": []}, "note": evil}
    pictures = [html.Thumbnail(b"x", "image/jpeg", evil)]
    page = html.render(stats | {"hosts": hosts, "faults": [evil]}, settings, examples, pictures)
    assert "<script" not in page
    assert 'alt="&lt;script&gt;' in page
    assert page.count("&lt;script&gt;") >= 6


def test_pictures_only_when_asked(finished_copy):
    assert "data:image" not in (finished_copy / "report.html").read_text()
    write_report(str(finished_copy), thumbnails=True)
    assert (finished_copy / "report.html").read_text().count("data:image/jpeg") > 10


def test_the_card_is_the_same_for_the_same_data(finished, stats):
    settings = run_settings(str(finished))
    text = card.render(stats, settings)
    assert text == (finished / "shards/main/README.md").read_text()
    moved = stats | {"timings": {}, "name": "main"}
    assert card.render(moved, settings | {"engine": {"workers": 9}}) == text
    assert str(finished) not in text
    assert "127.0.0.1" not in text
    header = text.split("---")[1]
    assert "license: other" in header
    assert f"--train-num-samples {sum(s['samples'] for s in stats['shards'])}" in text


def test_the_card_does_not_boast(finished, stats):
    settings = run_settings(str(finished))
    assert "Obeyed on the way: robots.txt, X-Robots-Tag" in card.render(stats, settings)
    rude = {"robots": {"obey": False}, "opt_outs": dict.fromkeys(settings["web"]["opt_outs"], False)}
    assert "No opt-out was obeyed" in card.render(stats, settings | {"web": settings["web"] | rude})


def test_charts_of_nothing_and_of_much():
    assert "Nothing" in bar_chart({}, "t")
    assert "Nothing" in histogram({"bar": {}}, "t")
    assert "No stage" in funnel_chart([])
    assert "cut 0.3" in histogram({"kept": {"0.20": 1, "0.40": 2}, "dropped": {"0.00": 3}}, "t", 0.3)
    assert bar_chart({"<b>": 3}, "t").count("&lt;b&gt;") == 1


def test_reasons_are_told_in_order_and_summed_up():
    assert reasons_text({"a": 1, "b": 3}) == "b 3, a 1"
    assert reasons_text({f"r{n}": 1 for n in range(9)}).endswith("other 3")


def test_stats_are_plain_json(finished):
    assert json.loads((finished / "stats.json").read_text())["faults"] == []
