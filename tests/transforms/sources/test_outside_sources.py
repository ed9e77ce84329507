"""A source from a file outside the package: read to shards, named in the funnel; what a user reads of a wrong one."""

import os

import pyarrow.parquet as pq
import pytest
from helpers.command import pairmill

from pipeline import config
from pipeline.errors import UsageError

MY_SOURCES = '''
from pathlib import Path

from transforms.sources.base import CandidateSource, Row, SourceError, files_of


class Museum(CandidateSource):
    """Catalogue cards: blocks of three lines, title, number, picture."""

    folder: str
    host: str = "pictures.museum.test"

    def files(self):
        return files_of("collect.sources", [f"{self.folder}/*.cards"])

    def overview(self):
        return {"cards": sum(len(list(self.rows(path))) for path in self.files())}

    def rows(self, path):
        for block in Path(path).read_text().split("\\n\\n"):
            title, number, picture = block.strip().split("\\n")
            if not picture.endswith((".jpg", ".png")):
                raise SourceError(f"{path}: card {number} has no picture; take it out")
            yield Row(f"http://{self.host}/{picture}", title, source_uid=number)


class Unfinished(CandidateSource):
    pass


class Plain:
    pass
'''
CARDS = "The old harbour in winter\nA-1\nharbour.jpg\n\nA red kite over the dunes\nA-2\nkite.png"


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder with the module my_sources, importable here, and with two catalogues."""
    (tmp_path / "my_sources.py").write_text(MY_SOURCES)
    (tmp_path / "one.cards").write_text(CARDS)
    (tmp_path / "two.cards").write_text(CARDS.replace("harbour.jpg", "boats.jpg").replace("A-", "B-"))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def museum(outside, **settings) -> dict:
    return {"source": "my_sources:Museum", "folder": str(outside), **settings}


def settings_of(*sources) -> config.Settings:
    return config.parse({"collect": {"sources": list(sources)}}, "my.yaml")


def test_a_run_reads_it_beside_a_table(outside):
    (outside / "t.csv").write_text("url,caption\nhttp://other.test/a.jpg,a boat\n")
    (outside / "my.yaml").write_text(f"""
collect:
  tables: {{paths: ["{outside}/t.csv"]}}
  sources: [{{source: "my_sources:Museum", folder: "{outside}"}}]
web: {{contact: me@example.org}}
""")
    env = {"PYTHONPATH": f"{outside}:{os.environ['PYTHONPATH']}"}
    outcome = pairmill("run", outside / "my.yaml", "--run-dir", outside / "run", "--to", "collect", env=env)
    assert outcome.code == 0, outcome.err
    rows = [row for part in (outside / "run/candidates").glob("part-*") for row in pq.read_table(part).to_pylist()]
    found = {row["url"]: (row["captions"][0]["text"], row["source_uid"]) for row in rows}
    assert found == {
        "http://other.test/a.jpg": ("a boat", ""),
        "http://pictures.museum.test/harbour.jpg": ("The old harbour in winter", "A-1"),
        "http://pictures.museum.test/kite.png": ("A red kite over the dunes", "A-2"),
        "http://pictures.museum.test/boats.jpg": ("The old harbour in winter", "B-1"),
    }
    kite = next(row for row in rows if row["url"].endswith("kite.png"))
    assert kite["occurrences"] == 2
    plan = pairmill("plan", outside / "my.yaml", "--json", env=env)
    assert '"cards": 4' in plan.out


def test_a_broken_file_ends_the_run_with_its_words(outside):
    (outside / "three.cards").write_text("Nothing to see\nC-1\nlost")
    (outside / "my.yaml").write_text(f'collect: {{sources: [{{source: "my_sources:Museum", folder: "{outside}"}}]}}')
    env = {"PYTHONPATH": f"{outside}:{os.environ['PYTHONPATH']}"}
    outcome = pairmill("run", outside / "my.yaml", "--run-dir", outside / "run", "--to", "collect", env=env)
    assert outcome.code == 3
    assert "three.cards: card C-1 has no picture; take it out" in outcome.err
    assert "Traceback" not in outcome.err


def test_an_edited_source_is_not_already_done(outside):
    (outside / "my.yaml").write_text(f'collect: {{sources: [{{source: "my_sources:Museum", folder: "{outside}"}}]}}\n'
                                     'web: {contact: me@example.org}')  # fmt: skip
    words = ("run", outside / "my.yaml", "--run-dir", outside / "run", "--to", "collect")
    env = {"PYTHONPATH": f"{outside}:{os.environ['PYTHONPATH']}"}
    assert pairmill(*words, env=env).code == 0
    assert "collect: already done" in pairmill(*words, env=env).err
    (outside / "my_sources.py").write_text(MY_SOURCES.replace("title, source_uid", "title.upper(), source_uid"))
    refused = pairmill(*words, env=env)
    assert refused.code == 2
    assert "inputs.code of my_sources" in refused.err


@pytest.mark.parametrize(("source", "says"), [
    ({"source": "nowhere_at_all:Museum"}, ["'nowhere_at_all:Museum' cannot be imported", "PYTHONPATH"]),
    ({"source": "my_sources:Musium"}, ["has no class 'Musium'", "spelling"]),
    ({"source": "my_sources:Plain"}, ["is not a source", "CandidateSource"]),
    ({"source": "my_sources:Unfinished"}, ["is not complete", "files"]),
    ({"source": "my_sources:Museum"}, ["folder", "required"]),
    ({"source": "my_sources:Museum", "folder": "x", "colour": 1}, ["colour"]),
    ({"folder": "x"}, ["source"]),
    ({"source": "Museum"}, ["source", "Museum"]),
])  # fmt: skip
def test_what_a_wrong_source_is_told(outside, source, says):
    with pytest.raises(UsageError) as caught:
        settings_of(source)
    assert "my.yaml: collect.sources.0" in str(caught.value)
    assert [s for s in says if s not in str(caught.value)] == [], caught.value


def test_a_folder_without_files_is_refused_before_any_work(outside):
    (outside / "my.yaml").write_text('collect: {sources: [{source: "my_sources:Museum", folder: "/nowhere"}]}')
    env = {"PYTHONPATH": f"{outside}:{os.environ['PYTHONPATH']}"}
    outcome = pairmill("run", outside / "my.yaml", "--run-dir", outside / "run", env=env)
    assert outcome.code == 2
    assert "/nowhere/*.cards matches no file" in outcome.err


def test_its_settings_are_in_the_fingerprint_and_in_the_file(outside):
    settings = settings_of(museum(outside, host="a.test"))
    written = config.content(settings)["collect"]["sources"]
    assert written == [{"source": "my_sources:Museum", "settings": {"folder": str(outside), "host": "a.test"}}]
    (outside / "run.yaml").write_text(config.as_yaml(settings))
    assert config.load_run(str(outside)).collect.sources == settings.collect.sources
