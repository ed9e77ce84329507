"""What a user can get wrong: a clear message with the remedy, the right exit code, nothing written, nobody asked.

A traceback would be an exception that leaves `main`, and fail the test by itself.
"""

import gzip
import importlib.util
import json
import shutil
from collections import namedtuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.in_thread import in_thread
from helpers.name_server import NXDOMAIN, NameServer, Said

from pipeline.locks import only_one
from transforms.web.polite import PoliteWeb


@pytest.fixture
def asked(monkeypatch):
    """Everything that the web is asked, which in these tests is nothing."""
    urls = []
    ask = PoliteWeb.ask

    async def remember(self, url, *rest, **named):
        urls.append(url)
        return await ask(self, url, *rest, **named)

    monkeypatch.setattr(PoliteWeb, "ask", remember)
    return urls


@pytest.fixture
def refused(call, asked, tmp_path):
    """`refused(*words, says=...)`: exit 2, the message holds all of `says`, no run directory, no request."""

    def check(*words, says=()):
        code, out, err, _ = call(*words)
        assert code == 2, (code, err)
        assert "Traceback" not in err
        assert out == ""
        assert [s for s in says if str(s) not in err] == [], err
        assert asked == []
        assert not (tmp_path / "run").exists()
        assert not (tmp_path / "runs").exists()

    return check


def site(*settings):
    return ["run", "site", "--run-dir", "run", *sets(*settings)]


def urls(path, *settings):
    return ["run", "urls", "--run-dir", "run", *sets(f"collect.tables.paths=[{path}]", *settings)]


def sets(*settings):
    return [word for setting in settings for word in ("--set", setting)]


# seeds


def test_no_seeds(refused):
    refused(*site(), says=["collect.crawl: no seeds", "collect.crawl.seeds", "collect.crawl.seed_file"])


def test_a_missing_seed_file(refused):
    refused(*site("collect.crawl.seed_file=seeds.txt"), says=["seeds.txt", "No such file"])


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_an_empty_seed_file(refused, tmp_path, text):
    (tmp_path / "seeds.txt").write_text(text)
    refused(*site("collect.crawl.seed_file=seeds.txt"), says=["no seeds", "one a line"])


@pytest.mark.parametrize("seed", ["example", "ftp://localhost/x", "http://", "file:///etc/hostname"])
def test_a_seed_that_is_no_url(refused, seed):
    refused(*site(f"collect.crawl.seeds=['{seed}']"), says=[seed, "expected one such as https://example.org/"])


# tables


def test_a_table_that_is_not_there(refused):
    refused(*urls("nowhere/*.csv"), says=["collect.tables.paths", "nowhere/*.csv matches no file"])


TABLES = {
    "missing_column.csv": (b"href,caption\nhttp://localhost/a.jpg,a kite\n", ['no column "url"', '"href"']),
    "other_name.csv": (b"image_url,text\nhttp://localhost/a.jpg,a kite\n", ['Set collect.tables.url to "image_url"']),
    "no_caption.tsv": (b"url\ttitle\nhttp://localhost/a.jpg\ta kite\n", ['no column "caption"', '"title"']),
    "semicolons.csv": (b"url;caption\nhttp://localhost/a.jpg;a kite\n", ["collect.tables.separator"]),
    "no_header.csv": (b"http://localhost/a.jpg,a kite\n", ["collect.tables.columns"]),
    "empty.csv": (b"", ["the table has no rows"]),
    "only_header.csv": (b"url,caption\n", ["the table has no rows"]),
    "empty.jsonl": (b"", ["the table has no rows"]),
    "broken.jsonl": (b'{"url": \n{"url": "http://localhost/a.jpg", "caption": 5}\n', ["row 1 is broken"]),
    "numbers.jsonl": (b'{"url": "http://localhost/a.jpg", "caption": 5}\n', ["row 1", '"caption" holds a number']),
    "ragged.csv": (b"url,caption\nhttp://localhost/a.jpg\n", ["row 1 is broken", "as many values"]),
    "cut.csv.gz": (gzip.compress(b"url,caption\nhttp://localhost/a.jpg,a kite\n" * 99)[:-20], ["broken or cut off"]),
    "no.parquet": (b"this is no parquet file", ["no.parquet", "broken or cut off"]),
    "empty.parquet": (b"", ["empty.parquet", "broken or cut off"]),
    "table.xlsx": (b"PK\x03\x04", ["unknown ending", "collect.tables.format"]),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_bad_table(refused, tmp_path, name):
    content, says = TABLES[name]
    (tmp_path / name).write_bytes(content)
    refused(*urls(name), says=[name, *says])


def parquet_file(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_a_parquet_column_of_another_type(refused, tmp_path):
    parquet_file(tmp_path / "t.parquet", url=[1, 2], caption=["a", "b"])
    refused(*urls("t.parquet"), says=["t.parquet", 'column "url" holds int64', "expected text"])


def test_a_parquet_table_without_the_column(refused, tmp_path):
    parquet_file(tmp_path / "t.parquet", URL=["http://localhost/a.jpg"], TEXT=["a kite"])
    refused(*urls("t.parquet"), says=['no column "url"', 'Set collect.tables.url to "URL"'])


def test_a_parquet_table_that_is_cut_off(refused, tmp_path):
    path = parquet_file(tmp_path / "t.parquet", url=["http://localhost/a.jpg"] * 99, caption=["a kite"] * 99)
    path.write_bytes(path.read_bytes()[:-10])
    refused(*urls("t.parquet"), says=["t.parquet", "broken or cut off"])


def test_a_table_that_is_a_folder(refused, tmp_path):
    (tmp_path / "t.csv").mkdir()
    refused(*urls("t.csv"), says=["t.csv", "matches no file"])


def test_a_warc_that_is_not_there(refused):
    refused("run", "warc", "--run-dir", "run", *sets("collect.warc.paths=[x.warc.gz]"), says=["collect.warc.paths"])


# contact


@pytest.mark.parametrize("seed", ["https://example.org/", "http://192.0.2.7/", "http://127.0.0.1.example.org/"])
def test_a_foreign_seed_without_a_contact(refused, seed):
    refused(*site(f"collect.crawl.seeds=['{seed}']"), says=["web.contact is empty", "--set web.contact="])


def test_a_foreign_table_without_a_contact(call, asked, tmp_path):
    """Nothing is collected first: the first rows of a table say whom it will ask."""
    lines = ["url,caption", "http://localhost:9/a.jpg,a red kite over the sea", "https://example.org/b.jpg,a blue kite"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    outcome = call(*urls("t.csv"))
    assert outcome.code == 2
    assert "web.contact is empty, and example.org is not on this machine" in outcome.err
    assert asked == []
    assert not (tmp_path / "run").exists()
    assert call(*urls("t.csv"), "--to", "collect").code == 0  # asks nobody


def test_a_foreign_row_far_down_without_a_contact(call, asked, tmp_path):
    """What a table holds there is known when it is read; the first request comes later."""
    local = [f"http://localhost:9/{n}.jpg,a red kite over the sea" for n in range(200)]
    lines = ["url,caption", *local, "https://example.org/b.jpg,a blue kite"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    outcome = call(*urls("t.csv"))
    assert outcome.code == 2
    assert "web.contact is empty, and example.org is not on this machine" in outcome.err
    assert asked == []
    assert not list((tmp_path / "run/images").glob("*.parquet"))


# configuration and command line


@pytest.mark.parametrize(("words", "says"), [
    (["run", "demoo"], ["no configuration 'demoo'", "did you mean 'demo'"]),
    (["run", "nowhere.yaml"], ["no configuration 'nowhere.yaml'"]),
    (["plan", "demoo"], ["no configuration 'demoo'"]),
    (["run", "demo", "--set", "fetch.image.size"], ["--set fetch.image.size", "expected section.key=value"]),
    (["run", "demo", "--set", "fetch.image.sise=3"], ["unknown key fetch.image.sise", "fetch.image.size"]),
    (["run", "demo", "--set", "fetch.image.size=big"], ['fetch.image.size = "big"']),
    (["run", "demo", "--set", "demo.pages=3"], ["demo.pages = 3", "greater than or equal to 100"]),
    (["run", "demo", "--engine", "cluster"], ["--engine cluster", "local-parallel"]),
    (["run", "demo", "--part", "2/2"], ["--part", "'2/2' is no slice"]),
    (["run", "demo", "--part", "x"], ["--part", "'x' is no slice"]),
    (["run", "demo", "--part", "-1/2"], ["--part"]),
    (["run", "demo", "--from", "pack", "--to", "fetch"], ["--from pack --to fetch", "collect, fetch"]),
    (["run", "demo", "--from", "nothing"], ["--from", "collect"]),
    (["run"], ["CONFIG"]),
    (["rum", "demo"], ["rum"]),
    (["run", "demo", "--set", "score.model=none"], ["select.rules has a score rule", "name a model or remove the rule"]),
    (["run", "demo", "--", "--direct_running_mode=multi_threading"], ["multi_threading is refused"]),
    (["run", "demo", "--set", "engine.runner=DaskRunner"], ["DaskRunner is refused"]),
])  # fmt: skip
def test_a_bad_command_line(refused, words, says):
    refused(*words, says=says)


def test_a_configuration_that_is_no_yaml(refused, tmp_path):
    (tmp_path / "mine.yaml").write_text("collect: {crawl: [")
    refused("run", "mine.yaml", says=["mine.yaml: not valid YAML"])


def test_a_user_rule_that_is_nowhere(refused, tmp_path):
    (tmp_path / "t.csv").write_text("url,caption\nhttp://localhost/a.jpg,a kite\n")
    rules = "select.rules=[{rule: user, function: 'nowhere_at_all:judge'}]"
    refused(*urls("t.csv", rules), says=["nowhere_at_all"])


def test_slices_of_a_run_that_has_collected_nothing(refused, tmp_path):
    (tmp_path / "t.csv").write_text("url,caption\nhttp://localhost/a.jpg,a kite\n")
    refused(*urls("t.csv"), "--part", "0/2", says=["--to collect first"])


# model


def local_table(tmp_path):
    (tmp_path / "t.csv").write_text("url,caption\nhttp://localhost/a.jpg,a red kite over the sea\n")
    return "t.csv"


@pytest.mark.parametrize(("model", "says"), [
    ("ViT-Q-99", ["score.model", "ViT-Q-99"]),
    ("nowhere/model", ["score.model", "nowhere/model"]),
    ("weights.safetensors", ["score.model", "weights.safetensors"]),
    ("empty_folder", ["score.model", "open_clip_config.json"]),
])  # fmt: skip
def test_a_model_that_is_not_there(refused, tmp_path, model, says):
    (tmp_path / "empty_folder").mkdir()
    refused(*urls(local_table(tmp_path), f"score.model={model}"), says=says)


def test_a_model_without_torch(refused, tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "torch" else find_spec(name, *a))
    refused(
        *urls(local_table(tmp_path), "score.model=ViT-B-32", "score.pretrained=laion2b_s34b_b79k"),
        says=["score.model", "torch", "pip install 'pairmill[score]'"],
    )


# disk


def test_a_full_disk(refused, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 30, 1 << 30, 5 << 20))
    refused(*urls(local_table(tmp_path)), says=["only 5 MiB free", "choose another --run-dir"])


def test_a_run_directory_that_cannot_be_made(refused, tmp_path):
    (tmp_path / "file").write_text("")
    words = urls(local_table(tmp_path))
    words[words.index("run", 1)] = "file/run"
    refused(*words, says=["file/run"])


def test_a_run_directory_that_is_a_file(refused, tmp_path):
    (tmp_path / "file").write_text("mine")
    words = urls(local_table(tmp_path))
    words[words.index("run", 1)] = "file"
    refused(*words, says=["file"])
    assert (tmp_path / "file").read_text() == "mine"


# run directories


@pytest.mark.parametrize("words", [
    ["status", "run"], ["why", "run", "http://localhost/a.jpg"], ["report", "run"], ["pack", "run"],
    ["select", "run", "--policy", "policy.yaml", "--name", "strict"],
])  # fmt: skip
def test_no_run_directory(refused, tmp_path, words):
    (tmp_path / "policy.yaml").write_text("rules: [{rule: caption}]")
    refused(*words, says=["run: no run directory", "the folder that `pairmill run` wrote to"])


@pytest.mark.parametrize("words", [
    ["report", "here"], ["pack", "here"], ["pack", "here", "--name", "no"],
    ["select", "here", "--policy", "policy.yaml", "--name", "strict"],
])  # fmt: skip
def test_a_run_directory_where_nothing_is_finished(refused, tmp_path, words):
    (tmp_path / "here").mkdir()
    (tmp_path / "here/run.yaml").write_text("collect: {tables: {paths: [t.csv]}}")
    (tmp_path / "policy.yaml").write_text("rules: [{rule: caption}]")
    refused(*words, says=["here"])


@pytest.mark.parametrize(("text", "says"), [
    ("rules: [", ["policy.yaml: not valid YAML"]),
    ("rules: [{rule: captoin}]", ["policy.yaml", "select.rules.0"]),
    ("select: {rules: [{rule: caption, min_word: 3}]}", ["policy.yaml", "min_word", "min_words"]),
    ("- {rule: caption}", ["policy.yaml", "expected sections"]),
    ("select: 7", ["policy.yaml", "select"]),
    (None, ["policy.yaml", "No such file"]),
])  # fmt: skip
def test_a_broken_policy(call, finished, tmp_path, text, says):
    if text is not None:
        (tmp_path / "policy.yaml").write_text(text)
    before = sorted(p.name for p in finished.rglob("*"))
    outcome = call("select", finished, "--policy", "policy.yaml", "--name", "strict")
    assert outcome.code == 2
    assert [s for s in says if s not in outcome.err] == [], outcome.err
    assert sorted(p.name for p in finished.rglob("*")) == before


@pytest.mark.parametrize("name", ["../outside", "a/b", "", ".hidden", "a b\n", "n" * 101])
def test_a_selection_whose_name_is_no_name(call, finished, tmp_path, name):
    (tmp_path / "policy.yaml").write_text("rules: [{rule: caption}]")
    before = sorted(p.as_posix() for p in finished.parent.rglob("*"))
    outcome = call("select", finished, "--policy", "policy.yaml", "--name", name)
    assert outcome.code == 2
    assert "--name" in outcome.err
    assert sorted(p.as_posix() for p in finished.parent.rglob("*")) == before


@pytest.mark.parametrize(
    "words", [("run",), ("run", "demo", "--run-dir"), ("validate",), ("status",), ("adopt", "--run-dir", "x")]
)
def test_a_path_that_is_too_long(call, words):
    path = "n" * 300
    outcome = call(*words, path)
    assert outcome.code == 2
    assert path in outcome.err
    assert "Traceback" not in outcome.err


def test_a_damaged_manifest_is_named(call, finished_copy):
    path = finished_copy / "manifest/fetch.json"
    path.write_text("{")
    outcome = call("status", finished_copy)
    assert outcome.code == 2
    assert "manifest/fetch.json: not readable as JSON" in outcome.err


def test_another_process_at_work(call, tmp_path):
    words = urls(local_table(tmp_path))
    with only_one(str(tmp_path / "run"), (0, 1)):
        outcome = call(*words)
    assert outcome.code == 2
    assert "another pairmill is at work here" in outcome.err
    assert not (tmp_path / "run/run.yaml").exists()


def test_earlier_stages_with_other_settings(call, asked, finished_copy):
    """The keys are named with both values, and the run directory stays as it was."""
    kept = (finished_copy / "run.yaml").read_bytes()
    shards = (finished_copy / "shards/main/manifest.json").stat()
    settings = json.dumps({"size": 128})
    base = kept.decode().replace("size: 256", "size: 128")
    (finished_copy.parent / "changed.yaml").write_text(base)
    outcome = call("run", finished_copy.parent / "changed.yaml", "--run-dir", finished_copy)
    assert outcome.code == 2, settings
    assert "stage fetch was run with other settings" in outcome.err
    assert "fetch.image.size: 256 → 128" in outcome.err
    assert "--from fetch" in outcome.err
    assert asked == []
    assert (finished_copy / "run.yaml").read_bytes() == kept
    assert (finished_copy / "shards/main/manifest.json").stat() == shards


# network


def test_no_network(call, tmp_path):
    """A resolver that does not answer is our own trouble: nothing of it becomes final, and the run can go on."""
    lines = ["url,caption", *(f"http://host{n}.example/{n}.jpg,a red kite over the sea {n}" for n in range(4))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    nobody = "web.resolvers=['127.0.0.1:1']"
    outcome = call(*urls("t.csv", "web.contact=me@example.org", "fetch.local_pauses_s=[0.01]", nobody))
    assert outcome.code == 3
    assert "local_resolver" in outcome.err
    assert "check this machine's network and resolver, then run the same command again" in outcome.err
    assert not list((tmp_path / "run/images").glob("*.parquet"))


def test_a_host_that_is_not_there(call, tmp_path):
    """One name that does not exist is the web's fault: a row with its reason."""
    (tmp_path / "t.csv").write_text("url,caption\nhttp://gone.example/a.jpg,a red kite over the sea\n")
    with in_thread(NameServer(lambda name: Said(code=NXDOMAIN))) as server:
        resolvers = f"web.resolvers=['{server.address}']"
        outcome = call(*urls("t.csv", "web.contact=me@example.org", resolvers), "--to", "fetch")
    assert outcome.code == 0
    assert set(server.asked) == {"gone.example"}
    (path,) = [p for p in (tmp_path / "run/images").glob("*.parquet") if ".log." not in p.name]
    assert pq.read_table(path)["reason"].to_pylist() == ["dns_not_found"]
