"""A table with captions in several languages: the text of a sample is in the language of the run."""

import json
import tarfile

import pytest
from helpers.command import pairmill
from helpers.in_thread import in_thread
from helpers.pictures import noise
from helpers.raw_server import RawServer, http

ENGLISH = [
    "a small red kite high above the sea",
    "two children build a castle of sand",
    "an old steam train in the snow",
    "the old book lies open beside a cup of coffee",
    "the white cat sleeps on the warm roof",
    "a wooden boat on the quiet lake",
]
GERMAN = "ein kleiner roter Drachen fliegt hoch über dem weiten blauen Meer am Abend"


UNSURE = "a cup of coffee beside an open book"  # English at 0.59
SURE = "the white cat sleeps on the roof"  # English at 0.83, and shorter


def texts_of_run(tmp_path, captions, *more_settings):
    """The .txt members of a run over a table of (number of the picture, caption), sorted."""
    routes = {f"/{n}.png": http(200, noise(n)) for n in {n for n, _ in captions}}
    rows = [f"http://a.test/{n}.png,{text}" for n, text in captions]
    (tmp_path / "t.csv").write_text("\n".join(["url,caption", *rows]))
    with in_thread(RawServer(routes)) as server:
        settings = [
            f"collect.tables.paths=[{tmp_path}/t.csv]",
            "web.contact=me@example.org",
            f"web.connect_to={{'*.test:80': '127.0.0.1:{server.port}'}}",
            *more_settings,
        ]
        words = [word for setting in settings for word in ("--set", setting)]
        outcome = pairmill("run", "urls", "--run-dir", tmp_path / "run", *words)
    assert outcome.code == 0, outcome.err
    texts = []
    for path in (tmp_path / "run/shards/main").glob("*.tar"):
        with tarfile.open(path) as tar:
            texts += [tar.extractfile(m).read().decode() for m in tar.getmembers() if m.name.endswith(".txt")]
    return sorted(texts)


def test_the_runs_language_goes_first(tmp_path):
    captions = [*enumerate(ENGLISH), *((n, f"{GERMAN} {n}") for n in range(3))]
    assert texts_of_run(tmp_path, captions) == sorted(ENGLISH)
    assert json.loads((tmp_path / "run/candidates/languages.json").read_text()) == {"de": 3, "en": 6}


@pytest.mark.parametrize(("least", "text"), [(0.5, UNSURE), (0.7, SURE)])
def test_the_rule_language_says_which_captions_are_sure(tmp_path, least, text):
    rule = f"{{rule: language, keep: [en], min_probability: {least}}}"
    assert texts_of_run(tmp_path, [(0, UNSURE), (0, SURE)], f"select.rules=[{rule}]") == [text]
