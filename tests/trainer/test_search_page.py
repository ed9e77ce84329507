"""Search finds what brute force finds; the page survives hostile captions, urls, queries and hosts."""

import json
import threading
from html.parser import HTMLParser
from http.client import HTTPConnection
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from trainer import arguments
from trainer.data import find_samples, read_bytes
from trainer.errors import InputError
from trainer.search.index import build_index
from trainer.search.page import source_of
from trainer.search.query import Hit, Index, search
from trainer.search.serve import Search, Server, is_loopback

HOSTILE = {
    0: "<script>alert(1)</script>",
    1: '"onerror="alert(1)" x="',
    2: "</title></p><img src=http://evil.example/x onerror=alert(1)>",
    3: "{row} {0} %s \x1b[2J",
}


@pytest.fixture
def index(tmp_path, shards, small_model):
    found = shards.samples(20, HOSTILE)
    found[0][0]["url"] = "javascript:alert(1)"
    found[1][0]["url"] = 'http://site.example/"><script>alert(2)</script>'
    folder = shards.write(tmp_path / "shards", found)
    build_index(str(folder), str(small_model), str(tmp_path / "index"), device="cpu")
    return Index(tmp_path / "index")


@pytest.fixture
def ask(index):
    """A server on loopback, and a function that asks it: (path, headers) -> (status, headers, body)."""
    with Server(("127.0.0.1", 0), Search(index, index.load_model("cpu"))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()

        def get(path, host=None, method="GET"):
            connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
            connection.request(method, path, headers={"Host": host} if host else {})
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            return answer.status, dict(answer.getheaders()), body

        yield get
        server.shutdown()
        thread.join(5)


def test_the_index_is_in_clip_retrievals_layout(index):
    images = np.load(index.folder / "img_emb" / "img_emb_0.npy")
    texts = np.load(index.folder / "text_emb" / "text_emb_0.npy")
    metadata = pq.read_table(index.folder / "metadata" / "metadata_0.parquet")
    assert images.shape == texts.shape == (20, 32)
    assert images.dtype == np.float16
    assert metadata.num_rows == 20
    assert {"image_path", "caption", "url"} <= set(metadata.column_names)


@pytest.mark.parametrize("k", [1, 7, 20, 100])
def test_the_nearest_are_what_sorting_finds(index, k, monkeypatch):
    monkeypatch.setattr("trainer.search.query.BLOCK_ROWS", 3)
    images = np.load(index.folder / "img_emb" / "img_emb_0.npy").astype(np.float32)
    clip = index.load_model("cpu")
    hits = search(index, clip, "a red disc", k)
    scores = images @ clip.encode_texts(clip.tokenize(["a red disc"]))[0]
    assert [h.row for h in hits] == list(np.argsort(-scores, kind="stable")[:k])
    assert [h.rank for h in hits] == list(range(1, min(k, 20) + 1))


def test_an_index_has_several_parts(tmp_path, sound, small_model, monkeypatch):
    monkeypatch.setattr("trainer.embed.CHUNK", 6)
    monkeypatch.setattr("trainer.search.index.PART_ROWS", 6)
    build_index(str(sound), str(small_model), str(tmp_path / "i"), device="cpu")
    assert len(list((tmp_path / "i" / "img_emb").iterdir())) == 4
    index = Index(tmp_path / "i")
    assert index.table["key"].to_pylist() == [s.key for s in find_samples(sound)]
    assert len(search(index, index.load_model("cpu"), "a box", 50)) == 20


@pytest.mark.parametrize(("text", "k"), [("", 5), ("  ", 5), ("a", 0), ("a", 10_000)])
def test_questions_without_answer_are_refused(index, text, k):
    with pytest.raises(InputError):
        search(index, index.load_model("cpu"), text, k)


def test_folders_that_are_no_index_are_refused(tmp_path, sound, small_model):
    with pytest.raises(InputError, match="no index"):
        Index(tmp_path)
    with pytest.raises(InputError, match="is no index"):
        build_index(str(sound), str(small_model), str(sound), device="cpu")
    assert len(find_samples(sound)) == 20
    (tmp_path / "index.json").write_text('{"format": "another"}')
    with pytest.raises(InputError, match="make it again"):
        Index(tmp_path)


class Elements(HTMLParser):
    """What a browser would build: names of elements, and their attributes."""

    def __init__(self, page):
        super().__init__()
        self.names, self.attributes = set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes += attrs

    def values(self, *names):
        return {value for name, value in self.attributes if name in names}


def test_hostile_captions_are_text_on_the_page(ask):
    status, _, body = ask("/?q=a+picture")
    page = Elements(body.decode())
    assert status == 200
    assert page.names.isdisjoint({"script", "iframe", "object", "style", "base"})
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert set(HOSTILE.values()) <= page.values("alt")
    assert page.values("src") == {f"/image/{n}" for n in range(20)}
    assert page.values("href") - {"/", "/style.css"} == {
        'http://site.example/"><script>alert(2)</script>', *(f"http://site.example/{n}.jpg" for n in range(2, 20))
    }  # fmt: skip


@pytest.mark.parametrize("query", ["<script>x</script>", '"><img src=x onerror=alert(1)>', "{body}", "\udcff"])
def test_hostile_queries_are_text_on_the_page(ask, query):
    from urllib.parse import quote

    status, _, body = ask("/?q=" + quote(query, errors="surrogateescape"))
    assert status == 200
    assert b"<script" not in body
    assert b"<img src=x" not in body


def test_the_page_loads_nothing_from_elsewhere_and_runs_nothing(ask):
    for path in ("/", "/?q=a", "/style.css", "/image/0", "/nowhere"):
        _, headers, _ = ask(path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script" not in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "http://[", "", "//x"]
)
def test_only_web_addresses_become_links(url):
    assert "href" not in source_of(url)


def test_images_come_out_of_the_shards(ask, index):
    samples = find_samples(index.about["shards"])
    for row in (0, 1, 2, 19):
        status, headers, body = ask(f"/image/{row}")
        assert status == 200
        assert body == read_bytes(samples[row].tar, samples[row].image)
        assert (
            headers["Content-Type"]
            == {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}[samples[row].extension]
        )


@pytest.mark.parametrize("path", ["/image/20", "/image/-1", "/image/x", "/image/../../etc/passwd", "/image/",
                                  "/image/%31", "/image/²", "/image/99999999999999999", "/http://127.0.0.1/"])  # fmt: skip
def test_other_paths_find_nothing(ask, path):
    assert ask(path.encode().decode("latin-1") if path.isascii() else "/image/%C2%B2")[0] == 404


def test_a_foreign_name_for_this_machine_is_refused(ask):
    assert ask("/", host="evil.example")[0] == 403
    assert ask("/", host="localhost:80")[0] == 200
    assert ask("/", host="[::1]:80")[0] == 200


def test_answers_as_json(ask):
    status, _, body = ask("/search.json?q=a+disc&k=3")
    assert status == 200
    assert [Hit(**hit).rank for hit in json.loads(body)] == [1, 2, 3]
    assert ask("/search.json?q=&k=3")[0] == ask("/search.json?q=a&k=-1")[0] == 400


def test_a_head_request_has_no_body(ask):
    status, headers, body = ask("/style.css", method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


def test_what_is_loopback():
    assert all(is_loopback(h) for h in ("localhost", "127.0.0.1", "127.9.9.9", "::1"))
    assert not any(is_loopback(h) for h in ("0.0.0.0", "::", "example.org", "", "10.0.0.1"))


def test_commands_answer_in_one_line_with_their_exit_code(tmp_path, sound, small_model, index, capsys):
    assert arguments.run("validate", SimpleNamespace(shards=str(sound), jobs=1)) == 0
    assert capsys.readouterr().out == "sound: 2 shards, 20 samples\n"
    (sound / "00001.parquet").unlink()
    assert arguments.run("validate", SimpleNamespace(shards=str(sound), jobs=1)) == 1
    assert "00001.parquet  -  missing" in capsys.readouterr().out
    assert arguments.run("validate", SimpleNamespace(shards=str(tmp_path / "nowhere"), jobs=1)) == 2
    assert "no such folder" in capsys.readouterr().err
    query = SimpleNamespace(action="query", index=str(index.folder), text="a disc", k=3, json=False, device="cpu")
    assert arguments.run("search", query) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 3
    assert "\x1b" not in out
