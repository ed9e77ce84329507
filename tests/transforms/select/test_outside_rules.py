"""Rules from a file outside the package: found, run, named in the funnel; and what a user reads of a wrong name."""

import json
import os

import pyarrow.parquet as pq
import pytest
from helpers.command import pairmill

from pipeline import config
from pipeline.errors import UsageError
from transforms.formats import parquet
from transforms.outside_code import code_digest
from transforms.records import Image
from transforms.select.rules.registry import built_in
from transforms.select.settings import SelectSettings

MY_RULES = '''
from typing import ClassVar, NamedTuple

from filters.reasons import Drop, Reason
from transforms.select.rules.base import CrossPairRule, GroupResult, LocalRule, Rule


class TooRed(LocalRule):
    """Drops pairs by the first byte of their uid: a stand-in for a colour."""

    below: int = 64

    def judge(self, pair):
        return Drop(Reason.USER_RULE, float(pair.uid[0]), "too red") if pair.uid[0] < self.below else pair


class Count(NamedTuple):
    part: str
    count: int


class CrowdedSize(CrossPairRule):
    """Images whose width many share are dropped."""

    key_type: ClassVar[type] = int
    aggregate_type: ClassVar[type] = Count
    most: int = 5

    def map_part(self, part, pairs):
        widths = [pair.width for pair in pairs]
        return [(width, Count(part, widths.count(width))) for width in set(widths)]

    def combine(self, key, aggregates):
        counts = list(aggregates)
        total = sum(count.count for count in counts)
        if total > self.most:
            yield from ((count.part, GroupResult(str(key).encode(), float(total))) for count in counts)

    def apply(self, results):
        crowds = {int(result.key): result.value for result in results}
        return lambda pair: Drop(Reason.USER_RULE, crowds[pair.width]) if pair.width in crowds else pair


class Unfinished(CrossPairRule):
    pass


class Plain:
    pass
'''


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder with the module my_rules, importable here."""
    (tmp_path / "my_rules.py").write_text(MY_RULES)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def settings_of(*rules) -> config.Settings:
    return config.parse({"collect": {"tables": {"paths": ["t.csv"]}}, "select": {"rules": list(rules)}}, "my.yaml")


def test_select_runs_rules_of_a_file_outside(finished_copy, outside):
    policy = outside / "policy.yaml"
    policy.write_text('rules: [{rule: caption}, {rule: "my_rules:TooRed", below: 100}, '
                      '{rule: "my_rules:CrowdedSize", most: 1}]')  # fmt: skip
    path = f"{outside}:{os.environ['PYTHONPATH']}"
    outcome = pairmill("select", finished_copy, "--policy", policy, "--name", "mine", env={"PYTHONPATH": path})
    assert outcome.code == 0, outcome.err
    parts = [p for p in (finished_copy / "images").glob("*.parquet") if not p.name.endswith(".log.parquet")]
    width = {row.uid: row.original_width for p in parts for row in parquet.read_rows(str(p), Image)}
    rows = pq.read_table(finished_copy / "selection/mine").to_pylist()
    assert sorted(row["uid"] for row in rows) == sorted(width)

    red = [row for row in rows if row["step"] == "my_rules:TooRed"]
    judged = [row for row in rows if row["step"] not in ("fetch", "caption")]
    assert red
    assert {row["uid"] for row in red} == {row["uid"] for row in judged if row["uid"][0] < 100}
    assert {(row["reason"], row["detail"]) for row in red} == {("user_rule", "too red")}

    left = [width[row["uid"]] for row in judged if row["uid"][0] >= 100]
    crowded = [row for row in judged if row["step"] == "my_rules:CrowdedSize"]
    assert sorted(width[row["uid"]] for row in crowded) == sorted(w for w in left if left.count(w) > 1)
    assert all(row["value"] == left.count(width[row["uid"]]) for row in crowded)
    assert crowded
    assert len(rows) == sum(row["kept"] for row in rows) + sum(bool(row["reason"]) for row in rows)


def test_an_edited_rule_is_run_again(finished_copy, outside):
    """So is one whose helper beside it was edited; an untouched one is not."""
    (outside / "shades.py").write_text("LIMIT = 0\n")
    (outside / "my_rules.py").write_text("import shades\n" + MY_RULES.replace("< self.below", "< shades.LIMIT"))
    (outside / "policy.yaml").write_text('rules: [{rule: "my_rules:TooRed"}]')
    env = {"PYTHONPATH": f"{outside}:{os.environ['PYTHONPATH']}"}

    def dropped() -> tuple[bool, int]:
        words = ("select", finished_copy, "--policy", outside / "policy.yaml", "--name", "mine")
        outcome = pairmill(*words, env=env)
        assert outcome.code == 0, outcome.err
        steps = pq.read_table(finished_copy / "selection/mine")["step"].to_pylist()
        return "select.mine: already done" in outcome.err, steps.count("my_rules:TooRed")

    assert dropped() == (False, 0)
    assert dropped() == (True, 0)
    (outside / "shades.py").write_text("LIMIT = 128\n")
    is_done, some = dropped()
    assert (is_done, some > 0) == (False, True)
    (outside / "my_rules.py").write_text("import shades\n" + MY_RULES.replace("< self.below", "< 2 * shades.LIMIT"))
    is_done, all_ = dropped()
    assert (is_done, all_ > some) == (False, True)


def digest_after(path, text) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return code_digest("my_package.rules")


def test_the_code_of_a_package_is_all_of_it_and_what_it_imports_beside_it(outside):
    (outside / "my_package").mkdir()
    (outside / "my_package/__init__.py").write_text("")
    seen = {
        digest_after(outside / "my_package/rules.py", "import helper, json\nfrom .inner import deep\n"),
        digest_after(outside / "my_package/inner/deep.py", "x = 1\n"),
        digest_after(outside / "helper.py", "def f():\n    from others import g\n"),
        digest_after(outside / "others/__init__.py", "g = 1\n"),
        digest_after(outside / "others/__init__.py", "g = 2\n"),
    }
    assert len(seen) == 5
    assert digest_after(outside / "not_imported.py", "x = 1\n") in seen
    assert digest_after(outside / "transforms/rounds.py", "x = 1\n") in seen


@pytest.mark.parametrize(("rule", "says"), [
    ({"rule": "captoin"}, ["no rule 'captoin'", "did you mean 'caption'", "module:Class"]),
    ({"rule": "nowhere_at_all:TooRed"}, ["'nowhere_at_all:TooRed' cannot be imported", "PYTHONPATH"]),
    ({"rule": ":TooRed"}, ["':TooRed' cannot be imported"]),
    ({"rule": "my_rules:TooRad"}, ["'my_rules:TooRad' has no class 'TooRad'", "spelling"]),
    ({"rule": "my_rules:Plain"}, ["'my_rules:Plain' is not a rule", "LocalRule"]),
    ({"rule": "my_rules:Unfinished"}, ["is not complete", "apply, combine, map_part"]),
    ({"rule": "my_rules:TooRed", "belwo": 3}, ["my_rules:TooRed", "belwo"]),
    ({"rule": "my_rules:TooRed", "below": "3"}, ["below", "integer"]),
    ({"below": 3}, ["a rule needs its name", "module:Class"]),
])  # fmt: skip
def test_what_a_wrong_rule_is_told(outside, rule, says):
    with pytest.raises(UsageError) as caught:
        settings_of(rule)
    assert "my.yaml: select.rules.0 = " in str(caught.value)
    assert [s for s in says if s not in str(caught.value)] == [], caught.value


def test_its_settings_are_in_the_fingerprint_and_in_the_file(outside):
    settings = settings_of({"rule": "my_rules:TooRed", "below": 7}, {"rule": "my_rules:TooRed"})
    rules = config.content(settings)["select"]["rules"]
    assert rules == [{"rule": "my_rules:TooRed", "below": 7}, {"rule": "my_rules:TooRed", "below": 64}]
    (outside / "run.yaml").write_text(config.as_yaml(settings))
    again = config.load_run(str(outside))
    assert again == settings
    assert settings.select.labels() == ["my_rules:TooRed", "my_rules:TooRed_2"]
    assert SelectSettings(rules=(type(settings.select.rules[0])(below=7),)).rules[0] == settings.select.rules[0]


def test_the_schema_lists_every_rule_and_permits_outside_ones():
    schema = config.schema()
    options = schema["$defs"]["SelectSettings"]["properties"]["rules"]["items"]["oneOf"]
    named = [schema["$defs"][o["$ref"].rsplit("/", 1)[1]] for o in options if "$ref" in o]
    assert [d["properties"]["rule"]["const"] for d in named] == list(built_in())
    (other,) = [o for o in options if "$ref" not in o]
    assert "module:Class" in json.dumps(other)


def test_every_file_of_the_folder_is_a_rule():
    assert list(built_in()) == ["caption", "caption_repetition", "contact", "exact_duplicate", "language",
                                "near_duplicate", "score", "size", "user"]  # fmt: skip
