"""A table with captions in several languages: the text of a sample is in the language of the run."""

import json
import tarfile

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


def test_the_runs_language_goes_first(tmp_path):
    routes = {f"/{n}.png": http(200, noise(n)) for n in range(len(ENGLISH))}
    rows = [f"http://a.test/{n}.png,{text}" for n, text in enumerate(ENGLISH)]
    rows += [f"http://a.test/{n}.png,{GERMAN} {n}" for n in range(3)]
    (tmp_path / "t.csv").write_text("\n".join(["url,caption", *rows]))
    with in_thread(RawServer(routes)) as server:
        settings = [
            f"collect.tables.paths=[{tmp_path}/t.csv]",
            "web.contact=me@example.org",
            f"web.connect_to={{'*.test:80': '127.0.0.1:{server.port}'}}",
        ]
        words = [word for setting in settings for word in ("--set", setting)]
        outcome = pairmill("run", "urls", "--run-dir", tmp_path / "run", *words)
    assert outcome.code == 0, outcome.err
    assert json.loads((tmp_path / "run/candidates/languages.json").read_text()) == {"de": 3, "en": 6}
    texts = []
    for path in (tmp_path / "run/shards/main").glob("*.tar"):
        with tarfile.open(path) as tar:
            texts += [tar.extractfile(m).read().decode() for m in tar.getmembers() if m.name.endswith(".txt")]
    assert sorted(texts) == sorted(ENGLISH)
