"""Bad configuration is refused before any work, naming the key, the value and the remedy."""

import json

import pytest
import yaml

from pipeline import config
from pipeline.errors import UsageError
from pipeline.reselect import reselect
from transforms.outside import validated
from transforms.select.settings import SizeStep

GOOD = {"collect": {"tables": {"paths": ["urls.csv"]}}}


def parsed(**sections):
    return config.parse(GOOD | sections, "my.yaml")


@pytest.mark.parametrize(("sections", "words"), [
    ({"fetch": {"imag": {}}}, ["my.yaml: unknown key fetch.imag", "did you mean fetch.image?"]),
    ({"fetsh": {}}, ["unknown key fetsh", "did you mean fetch?"]),
    ({"web": {"timeouts": {"total_s": "ten"}}}, ['web.timeouts.total_s = "ten"', "number"]),
    ({"web": {"concurrency": 0}}, ["web.concurrency = 0", "greater than or equal to 1"]),
    ({"select": {"rules": [{"rule": "captions"}]}}, ["select.rules.0", "caption"]),
    ({"select": {"rules": [{"rule": "score", "min": 0.3}]}}, ["score.model = none", "name a model"]),
    ({"fetch": {"image": {"mode": "stretch"}}}, ['fetch.image.mode = "stretch"', "keep_ratio"]),
    ({"collect": {}}, ["collect has no source", "collect.tables"]),
    ({"web": {"connect_to": {"a": "b"}}}, ["web.connect_to", "ip:port"]),
    ({"select": {"rules": [{"rule": "caption"}, {"rule": "language", "allow": ["en"]}]}},
     ["unknown key select.rules.1.language.allow; did you mean one of keep, keep_undetermined, min_probability?"]),
    ({"select": {"rules": [{"rule": "caption", "min_word": 3}]}}, ["did you mean select.rules.0.caption.min_words?"]),
    ({"select": {"rules": [{"rule": "exact_duplicate", "radius": 3}]}},
     ["unknown key select.rules.0.exact_duplicate.radius; there are no keys here"]),
    ({"web": {"hosts": [{"pattern": "a.test", "gap": 1}]}}, ["web.hosts.0.gap; did you mean web.hosts.0.gap_s?"]),
    ({"collect": {"tables": {"paths": ["a"], "colums": []}}}, ["did you mean collect.tables.columns?"]),
    ({"pack": {"shuffle": True}}, ["unknown key pack.shuffle; did you mean one of samples_per_shard, seed?"]),
    ({"pack": {"samples_per_shard": 2.5}}, ["pack.samples_per_shard = 2.5", "integer"]),
])  # fmt: skip
def test_each_message_names_key_value_and_remedy(sections, words):
    with pytest.raises(UsageError) as caught:
        parsed(**sections)
    assert [w for w in words if w not in str(caught.value)] == []


@pytest.mark.parametrize(("policy", "hint"), [
    ("select: {rules: [{rule: language, allow: [en]}]}", "select.rules.0.language.allow; did you mean one of keep,"),
    ("rules: [{rule: size, min_sides: 9}]", "did you mean select.rules.0.size.min_side?"),
    ("ruls: []", "unknown key select.ruls; did you mean select.rules?"),
])  # fmt: skip
def test_an_unknown_key_of_a_policy_has_a_nearest_name(tmp_path, policy, hint):
    (tmp_path / "run.yaml").write_text(json.dumps(GOOD))
    (tmp_path / "policy.yaml").write_text(policy)
    with pytest.raises(UsageError, match=r"policy\.yaml: unknown key") as caught:
        reselect(str(tmp_path), "strict", "select", str(tmp_path / "policy.yaml"))
    assert hint in str(caught.value)


def test_an_unknown_key_of_a_class_from_outside_has_a_nearest_name():
    with pytest.raises(ValueError, match=r"unknown key min_bytez; did you mean min_bytes\?"):
        validated(SizeStep, "mine:Size", {"min_bytez": 3})


def test_shipped_configurations_are_valid_and_open_with_their_command():
    names = sorted(p.stem for p in config.shipped_configs().glob("*.yaml"))
    assert {"demo", "site", "urls", "warc"} <= set(names)
    for name in names:
        text = config.find_config(name).read_text()
        assert f"pairmill run {name}" in text.splitlines()[1]
        assert "# Cost:" in text
        assert "# Expect:" in text
        config.load(name, ["collect.crawl.seeds=[http://localhost/]"] if name == "site" else [])


def test_engine_profiles_are_valid():
    for profile in (config.shipped_configs() / "engines").glob("*.yaml"):
        config.load("urls", engine=profile.stem)


@pytest.mark.parametrize(("override", "words"), [
    ("fetch.image.size", "expected section.key=value"),
    ("select.rules.9.min_words=1", "not an index of a list"),
    ("fetch.image.size.more=1", "plain value"),
    ("fetch.image.size=[", "not valid YAML"),
])  # fmt: skip
def test_bad_overrides(override, words):
    with pytest.raises(UsageError, match="--set") as caught:
        config.load("urls", [override])
    assert words in str(caught.value)


def test_overrides_reach_lists_and_new_sections():
    settings = config.load("urls", ["select.rules.0.min_words=7", "pack.seed=3", "web.contact=me@example.org"])
    assert settings.select.rules[0].min_words == 7
    assert settings.pack.seed == 3
    assert settings.web.contact == "me@example.org"


@pytest.mark.parametrize(("text", "words"), [
    ("collect: [", "not valid YAML"), ("- 1", "expected sections"), ("", "expected sections"),
])  # fmt: skip
def test_broken_files(tmp_path, text, words):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"x\.yaml") as caught:
        config.load(str(path))
    assert words in str(caught.value)


def test_an_unknown_configuration_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'demo'"):
        config.load("demoo")


def test_operational_settings_are_no_content():
    quick, slow = parsed(web={"contact": "a@b.c", "timeouts": {"total_s": 1}}), parsed(web={"concurrency": 3})
    assert config.content(quick) == config.content(slow)
    assert config.content(parsed(pack={"seed": 1})) != config.content(quick)
    assert "engine" in config.content(quick)
    assert config.content(quick)["engine"] == {}


def test_the_resolved_configuration_is_itself_valid():
    settings = config.load("demo")
    again = config.parse(yaml.safe_load(config.as_yaml(settings)), "run.yaml")
    assert again == settings


def test_the_schema_is_json_and_strict():
    schema = json.loads(json.dumps(config.schema()))
    assert schema["additionalProperties"] is False
    assert "rules" in schema["$defs"]["SelectSettings"]["properties"]


def test_one_figure_of_a_pace_can_be_set_alone():
    settings = config.load("urls", ["web.images.gap_s=0.5"])
    assert (settings.web.images.at_once, settings.web.images.gap_s) == (2, 0.5)
    assert settings.web.pace("h.example", "page").gap_s == 1.0


# paths


def test_relative_paths_are_made_absolute_where_they_are_given(tmp_path, monkeypatch):
    """What is in the working directory, or else beside the file; a store's url, and what is nowhere, stay as given."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, names in ((here, ("a.csv", "seeds.txt")), (there, ("a.csv", "b1.csv", "b2.csv", "ca.pem"))):
        folder.mkdir()
        for name in names:
            (folder / name).write_text("")
    (there / "my.yaml").write_text("""
collect:
  tables: {paths: [a.csv, b*.csv, s3://bucket/t.csv, nowhere.csv, "file:///t.csv"]}
  crawl: {seed_file: seeds.txt}
web: {ca_file: ca.pem}
score: {model: ViT-B-32, pretrained: laion2b_s34b_b79k}
""")
    monkeypatch.chdir(here)
    settings = config.load("../there/my.yaml")
    assert settings.collect.tables.paths == [
        f"{here}/a.csv", f"{there}/b*.csv", "s3://bucket/t.csv", "nowhere.csv", "file:///t.csv"
    ]  # fmt: skip
    assert (settings.collect.crawl.seed_file, settings.web.ca_file) == (f"{here}/seeds.txt", f"{there}/ca.pem")
    assert settings.score.model == "ViT-B-32"
    monkeypatch.chdir(there)
    by_set = config.load("urls", ["collect.tables.paths=[a.csv]"])
    assert by_set.collect.tables.paths == [f"{there}/a.csv"]
    assert config.load("demo").score.model.startswith("{pairmill}")


def test_paths_of_a_users_own_source_are_made_absolute_where_it_says_that_they_are(tmp_path, monkeypatch):
    (tmp_path / "cards").mkdir()
    (tmp_path / "card_source.py").write_text("""
from filters.rules import operational
from transforms.sources.base import CandidateSource, files_of


class Cards(CandidateSource):
    folder: str = operational(is_path=True)
    colour: str = "red"

    def files(self):
        return files_of("collect.sources", [f"{self.folder}/*.cards"])
""")
    (tmp_path / "my.yaml").write_text('collect: {sources: [{source: "card_source:Cards", folder: cards}]}')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (source,) = config.load("my.yaml").collect.sources
    assert source.settings == {"folder": str(tmp_path / "cards")}
    assert source.loaded.folder == str(tmp_path / "cards")
