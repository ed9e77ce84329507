"""docs/settings.md is what the models say, and the models say what every setting is."""

import json
from pathlib import Path

from pydantic import BaseModel

from pipeline import config, settings_page
from transforms.select.rules.registry import built_in

ROOT = Path(__file__).resolve().parents[2]


def keys_of(settings: BaseModel, prefix: str = "") -> list[str]:
    """Every key of a configuration as the program writes it to run.yaml."""
    found = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        found += keys_of(value, f"{prefix}{name}.") if isinstance(value, BaseModel) else [f"{prefix}{name}"]
    return found


def test_the_page_is_what_the_models_say():
    text = (ROOT / "docs/settings.md").read_text()
    assert text == settings_page.page(), "docs/settings.md is older than the models: run `make settings-doc`"


def test_every_key_of_a_resolved_configuration_and_every_rule_is_on_the_page():
    text = settings_page.page()
    loaded = [config.load(name, ["collect.crawl.seeds=[http://localhost/]"]) for name in ("demo", "site", "urls")]
    keys = [key for settings in loaded for key in keys_of(settings) if key != "demo"]  # null, where it is not served
    assert len(set(keys)) > 100
    assert [key for key in keys if f"`{key}`" not in text] == []
    for name, rule in built_in().items():
        chapter = text.partition(f"### Rule `{name}`")[2].partition("\n#")[0]
        assert [field for field in rule.model_fields if field != "rule" and f"| `{field}` |" not in chapter] == []


def test_every_setting_says_what_it_is_and_every_number_its_unit():
    sections = [("", config.Settings, ""), *((f"{name}.", kind, "") for name, kind in built_in().items())]
    rows = [row for name, model, _ in sections for row in settings_page.entries(model, name)]
    assert [row.key for row in rows if not row.text] == []
    numbers = [row for row in rows if "number" in row.allowed and "list" not in row.allowed]
    assert len(numbers) > 50
    assert [row.key for row in numbers if not row.unit] == []


def test_defaults_are_those_of_the_section_and_marks_those_of_the_fields():
    rows = {row.key: row for row in settings_page.entries(config.Settings, "")}
    assert rows["`web.images.gap_s` \\*"].default == "`0.1`"  # of images, where Pace has none of its own
    assert rows["`web.pages.gap_s` \\*"].default == "`1.0`"
    assert rows["`web.max_crawl_delay_s`"].unit == "s"
    assert "COYO" in next(r for r in settings_page.entries(built_in()["caption_repetition"], "")).text


def test_the_schema_has_the_same_texts(call):
    schema = json.loads(call("schema").out)
    web = schema["$defs"]["WebSettings"]["properties"]
    assert web["concurrency"]["description"] == "requests under way in a process"
    assert schema["$defs"]["CaptionStep"]["properties"]["min_words"]["description"].startswith("DataComp")
