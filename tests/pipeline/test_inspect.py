"""`pairmill inspect`: one JSON object a line, from a file and from standard input, whatever stands there."""

import hashlib
import io
import json
import sys

import pytest
from helpers.command import pairmill
from PIL import Image

PAGE = """<html><head><base href="/pictures/"></head><body>
<img src="a.jpg" alt="  A red   kite over the sea ">
<figure><img data-src="b.png" alt="A blue boat"><figcaption>A boat, seen from the pier</figcaption></figure>
<img srcset="c-1.jpg 1x, c-2.jpg 2x" title="Two dogs"><img src="d.gif">
</body></html>"""
ROBOTS = "User-agent: *\nDisallow: /private/\nAllow: /private/open\n\nUser-agent: GPTBot\nDisallow: /\n"
PAGE_KEYS = {"page_url", "url", "caption", "kind", "license", "drop", "detail"}
IMAGE_KEYS = {"source", "ok", "reason", "detail", "format", "width", "height", "sha256", "phash"}


@pytest.fixture
def inspect(call, monkeypatch):
    """`inspect(*words, stdin=...)`: exit code, rows, standard error."""

    def run(*words, stdin: str | bytes = "", traceback=False):
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        outcome = call("inspect", *words)
        assert traceback or "Traceback" not in outcome.err
        return outcome.code, [json.loads(line) for line in outcome.out.splitlines()], outcome.err

    return run


def lines(*rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


# page


def test_a_page_from_a_file_and_from_standard_input(inspect, tmp_path):
    (tmp_path / "page.html").write_text(PAGE)
    code, rows, _ = inspect("page", "page.html", "--url", "http://site.example/x/page.html")
    assert code == 0
    assert all(set(row) == PAGE_KEYS for row in rows)
    assert {row["page_url"] for row in rows} == {"http://site.example/x/page.html"}
    found = {(row["url"].rpartition("/")[2], row["caption"], row["kind"]) for row in rows}
    assert ("a.jpg", "A red kite over the sea", "alt") in found
    assert ("b.png", "A boat, seen from the pier", "figcaption") in found
    assert ("c-2.jpg", "Two dogs", "title") in found
    assert all(row["url"].startswith("http://site.example/pictures/") for row in rows)
    url = "http://site.example/x/page.html"
    assert inspect("page", "-", stdin=lines({"html": PAGE, "url": url})) == (0, rows, "")
    assert inspect("page", stdin=lines({"html": PAGE, "url": url})) == (0, rows, "")
    echoed = [row | {"path": "page.html", "id": 7} for row in rows]
    code, told, _ = inspect("page", "-", stdin=lines({"path": "page.html", "url": url, "id": 7}))
    assert (code, told) == (0, echoed)


def test_a_page_in_the_charset_of_its_header(inspect, tmp_path):
    (tmp_path / "page.html").write_bytes('<img src="/a.jpg" alt="Зелёный круг">'.encode("koi8-r"))
    row = {"path": "page.html", "url": "http://site.example/", "content_type": "text/html; charset=koi8-r"}
    _, rows, _ = inspect("page", "-", stdin=lines(row))
    assert [r["caption"] for r in rows] == ["Зелёный круг"]


PAGES_WITH_DROPS = """<img src="a.jpg" alt="A red kite over the sea"><img src="a.jpg" alt="A red kite over the sea">
<img src="data:image/png;base64,AAAA" alt="A dot of one pixel"><img src="http://[" alt="Brackets that never close">
<img src="http://blocked.example/b.jpg" alt="A blue boat at the pier"><img src="/c.jpg">
<img src="/d.jpg" alt="IMG_2041.JPG"><img src="/e.jpg" alt="Write to me@example.org for a copy">
<img src="/f.jpg" alt="Dogs"><img src="/g.jpg" alt="Ein kleiner Hund am Strand von Norderney">"""


def test_a_page_tells_the_drop_of_each_line(inspect, tmp_path):
    """A url that a run would refuse once looked like any other."""
    (tmp_path / "mine.yaml").write_text(
        "collect: {crawl: {seeds: ['http://localhost/']}, url: {blocked_hosts: [blocked.example]}}\n"
        "select: {rules: [{rule: caption}, {rule: contact}, {rule: language, keep: [en]}]}\n"
    )
    given = lines({"html": PAGES_WITH_DROPS, "url": "http://site.example/"})
    code, rows, _ = inspect("page", "-", "--config", "mine.yaml", stdin=given)
    assert code == 0
    drops = {row["url"].rpartition("/")[2]: row["drop"] for row in rows}
    assert drops == {
        "a.jpg": "", "png;base64,AAAA": "url_scheme", "[": "url_invalid", "b.jpg": "url_blocked",
        "c.jpg": "caption_empty", "d.jpg": "caption_is_file_name", "e.jpg": "caption_contact",
        "f.jpg": "caption_too_short", "g.jpg": "language",
    }  # fmt: skip
    (blocked,) = [row for row in rows if row["drop"] == "url_blocked"]
    assert blocked["detail"] == "blocked.example"


@pytest.mark.parametrize("meta", ['<meta name="robots" content="noai">', '<meta name="tdm-reservation" content="1">'])
def test_a_page_that_opts_out_has_nothing_but_drops(inspect, meta):
    _, rows, _ = inspect("page", "-", stdin=lines({"html": meta + PAGE, "url": "http://site.example/"}))
    assert {row["drop"] for row in rows} == {"page_opt_out"}


@pytest.mark.parametrize(("line", "says"), [
    ('{"url": \n', "not JSON"),
    ("[" * 200_000 + "\n", "not JSON"),
    ("[" * 900 + "]" * 900 + "\n", "url missing"),
    ('{"id": ' + "[" * 900 + "]" * 900 + "}\n", "url missing"),
    ('["html"]\n', "url missing"),
    ('{"html": "<p>"}\n', "url missing"),
    ('{"url": "http://a.example/"}\n', "expected the page under html"),
    ('{"url": "http://a.example/", "html": 5}\n', "html = 5: expected text"),
    ('{"url": null, "html": "<p>"}\n', "url = null: expected text"),
    ('{"url": "http://a.example/", "path": ["x"]}\n', "path = [\"x\"]: expected text"),
    ('{"url": "http://a.example/", "path": "nowhere.html"}\n', "nowhere.html: cannot be read: No such file"),
    ('{"url": "http://a.example/", "path": "."}\n', "cannot be read: Is a directory"),
    ('{"url": "http://a.example/", "path": "nul\\u0000.html"}\n', "cannot be read: embedded null"),
    ('{"url": "http://a.example/", "path": "' + "x" * 5_000 + '"}\n', "cannot be read: File name too long"),
])  # fmt: skip
def test_a_bad_line_is_a_row_and_the_others_go_on(inspect, line, says):
    good = lines({"html": '<img src="a.jpg" alt="A red kite">', "url": "http://site.example/", "id": 1})
    code, rows, err = inspect("page", "-", stdin=good + "\n" + line + good)
    assert (code, err) == (0, "")
    assert [row.get("id") for row in (rows[0], rows[2])] == [1, 1]
    assert rows[1]["line"] == 3
    assert says in rows[1]["error"]


def test_a_bad_line_keeps_what_was_given_beside(inspect):
    _, rows, _ = inspect("page", "-", stdin=lines({"url": "http://a.example/", "path": "nowhere.html", "id": 7}))
    assert [(row["id"], row["path"], row["line"]) for row in rows] == [(7, "nowhere.html", 1)]


@pytest.mark.parametrize("html", ["", "\0", "\ud800", "<img alt=x>", "<img src='http://[' alt=x>", "<" * 50_000])
def test_hostile_pages_have_no_rows_or_sound_ones(inspect, html):
    code, rows, _ = inspect("page", "-", stdin=lines({"html": html, "url": "http://site.example/"}))
    assert code == 0
    assert all(set(row) == PAGE_KEYS for row in rows)


def test_a_page_file_that_is_missing(inspect):
    code, rows, err = inspect("page", "nowhere.html", "--url", "http://site.example/")
    assert (code, rows) == (2, [])
    assert "nowhere.html: cannot be read: No such file" in err


@pytest.mark.parametrize("thing", ["page", "image"])
def test_a_foreign_url_without_a_contact_is_not_asked(inspect, thing):
    code, rows, err = inspect(thing, "http://site.example/")
    assert (code, rows) == (2, [])
    assert "web.contact is empty" in err


# image


@pytest.fixture
def picture(tmp_path):
    """A noisy JPEG, wide enough for the defaults."""
    path = tmp_path / "picture.jpg"
    image = Image.effect_noise((300, 200), 60).convert("RGB")
    image.save(path)
    return path


def test_an_image_from_a_file_and_from_standard_input(inspect, picture):
    code, rows, _ = inspect("image", "picture.jpg")
    assert code == 0
    (row,) = rows
    assert set(row) == IMAGE_KEYS
    assert row["source"] == "picture.jpg"
    assert (row["ok"], row["reason"], row["width"], row["height"]) == (True, "", 300, 200)
    assert row["format"].lower() == "jpeg"
    assert row["sha256"] == hashlib.sha256(picture.read_bytes()).hexdigest()
    assert bytes.fromhex(row["phash"])
    assert inspect("image", "-", stdin="picture.jpg\n") == (0, rows, "")
    assert inspect("image", stdin="picture.jpg") == (0, rows, "")


@pytest.mark.parametrize(
    "source", ["file:///etc/hostname", "ftp://a.test/x.jpg", "data:image/png;base64,iVBO", "S3://b/x"]
)
def test_a_scheme_that_is_not_asked_is_named(inspect, source):
    _, (row,), _ = inspect("image", source)
    assert (row["ok"], row["reason"]) == (False, "url_scheme")
    assert row["detail"] == f"{source.partition(':')[0].lower()}: an image is a path, or an http or https url"


def test_a_path_may_hold_a_colon(inspect, picture, tmp_path):
    (tmp_path / "a:b.jpg").write_bytes((tmp_path / "picture.jpg").read_bytes())
    assert inspect("image", "a:b.jpg")[1][0]["ok"]


def test_one_bad_image_of_many_does_not_end_the_others(inspect, picture, tmp_path):
    data = picture.read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "tiny.png").write_bytes(png(8, 8))
    (tmp_path / "folder").mkdir()
    names = ["cut.jpg", "nowhere.jpg", "empty.jpg", "text.jpg", "tiny.png", "folder", "nul\0.jpg", "x" * 5_000]
    code, rows, err = inspect("image", "-", stdin="\n".join([*names, "picture.jpg"]))
    assert (code, err) == (0, "")
    assert [row["source"] for row in rows] == [*names, "picture.jpg"]
    assert all(set(row) == IMAGE_KEYS for row in rows)
    assert [row["ok"] for row in rows] == [False] * len(names) + [True]
    assert all(row["reason"] for row in rows[:-1])
    reasons = {row["source"]: row["reason"] for row in rows}
    assert reasons["cut.jpg"] == "truncated"
    assert reasons["empty.jpg"] == "empty_body"
    assert reasons["text.jpg"] == "not_an_image"
    assert reasons["tiny.png"] == "image_too_small"


def png(width, height) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


def test_a_url_that_may_not_be_asked_does_not_end_the_others(inspect, picture):
    code, rows, err = inspect("image", "-", stdin="picture.jpg\nhttp://site.example/a.jpg\npicture.jpg\n")
    assert (code, err) == (0, "")
    assert [row.get("ok") for row in rows] == [True, None, True]
    assert (rows[1]["source"], rows[1]["line"]) == ("http://site.example/a.jpg", 2)
    assert "web.contact is empty" in rows[1]["error"]


def test_what_nobody_expected_is_a_row(inspect, picture, monkeypatch):
    def fail(body, settings):
        raise ZeroDivisionError("unexpected")

    monkeypatch.setattr("pipeline.commands.inspect.process_image", fail)
    outcome = [row["reason"] for row in inspect("image", "-", stdin="picture.jpg\nnowhere.jpg\n", traceback=True)[1]]
    assert outcome == ["internal_error", "stored_range_unreadable"]


def test_names_that_are_no_utf_8(inspect, picture):
    code, rows, _ = inspect("image", "-", stdin=b"caf\xe9.jpg\npicture.jpg\n")
    assert code == 0
    assert [row["ok"] for row in rows] == [False, True]


def test_settings_decide(inspect, picture):
    _, (row,), _ = inspect("image", "picture.jpg", "--set", "fetch.image.rules.min_side=250")
    assert (row["ok"], row["reason"]) == (False, "image_too_small")


# robots


@pytest.mark.parametrize(("agent", "url", "allowed", "rule"), [
    ("Pairmill", "http://site.example/a.jpg", True, ""),
    ("Pairmill", "http://site.example/private/a.jpg", False, "/private/"),
    ("Pairmill", "http://site.example/private/open/a.jpg", True, "/private/open"),
    ("GPTBot", "http://site.example/a.jpg", False, "/"),
])  # fmt: skip
def test_robots_from_a_file_and_from_standard_input(inspect, tmp_path, agent, url, allowed, rule):
    (tmp_path / "robots.txt").write_text(ROBOTS)
    code, rows, _ = inspect("robots", "robots.txt", agent, url)
    assert code == 0
    assert set(rows[0]) == {"agent", "url", "allowed", "rule"}
    assert (rows[0]["agent"], rows[0]["url"], rows[0]["allowed"]) == (agent, url, allowed)
    assert rule in (rows[0]["rule"] or "")
    assert inspect("robots", "-", agent, url, stdin=ROBOTS)[:2] == (0, rows)
    given = {"robots": ROBOTS, "agent": agent, "url": url}
    assert inspect("robots", "-", stdin=lines(given))[:2] == (0, [given | rows[0]])
    assert inspect("robots", stdin=lines(given))[:2] == (0, [given | rows[0]])


@pytest.mark.parametrize(("line", "says"), [
    ('{"robots": "", "agent": "a"}\n', "url missing"),
    ('{"robots": null, "agent": "a", "url": "http://a.example/"}\n', "robots = null: expected text"),
    ("nonsense\n", "not JSON"),
])  # fmt: skip
def test_a_bad_line_of_robots_is_a_row_and_the_others_go_on(inspect, line, says):
    good = lines({"robots": ROBOTS, "agent": "Pairmill", "url": "http://site.example/a.jpg"})
    code, rows, _ = inspect("robots", "-", stdin=good + line + good)
    assert code == 0
    assert [row.get("allowed") for row in rows] == [True, None, True]
    assert rows[1]["line"] == 2
    assert says in rows[1]["error"]


def test_robots_needs_an_agent_and_a_url(inspect, tmp_path):
    (tmp_path / "robots.txt").write_text(ROBOTS)
    code, _, err = inspect("robots", "robots.txt")
    assert code == 2
    assert "FILE AGENT URL" in err


@pytest.mark.parametrize("url", ["", "no url", "http://[", "\ud800", "http://site.example/" + "a" * 50_000])
def test_hostile_robots_lines_have_a_row(inspect, url):
    given = {"robots": "\0\ud800 User-agent:*\nDisallow:/a" + "*" * 3_000, "agent": "Pairmill", "url": url}
    code, rows, _ = inspect("robots", "-", stdin=lines(given))
    assert code == 0
    assert len(rows) == 1


# caption


def test_captions_from_the_command_line_and_from_standard_input(inspect):
    text = "A small dog runs along the beach with a stick in its mouth"
    code, rows, _ = inspect("caption", text)
    assert code == 0
    (row,) = rows
    assert set(row) == {"text", "language", "probability", "drops"}
    assert (row["text"], row["language"], row["drops"]) == (text, "en", [])
    assert 0.5 < row["probability"] <= 1
    assert inspect("caption", "-", stdin=text + "\n") == (0, rows, "")
    assert inspect("caption", stdin=text) == (0, rows, "")


def test_a_line_is_a_caption_whatever_stands_in_it(inspect):
    """As many rows as lines, in their order: carriage returns and other separators are no line ends."""
    texts = [
        "IMG_2041.JPG",
        "",
        "write to me@example.org for a copy of it",
        "a\rb\x85c\u2028d",
        "\0",
        "x" * 20_000,
        "{",
    ]
    code, rows, _ = inspect("caption", "-", stdin="\n".join(texts))
    assert code == 0
    assert [row["text"] for row in rows] == texts
    assert "caption_is_file_name" in rows[0]["drops"]
    assert rows[1]["drops"]
    assert "caption_contact" in rows[2]["drops"]


def test_captions_that_are_no_utf_8_have_a_row(inspect):
    code, rows, _ = inspect("caption", "-", stdin=b"caf\xe9 au lait sur une table\nA red kite over the sea\n")
    assert code == 0
    assert len(rows) == 2


def test_the_language_rule_of_a_configuration(inspect, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "collect: {crawl: {seeds: ['http://localhost/']}}\nselect: {rules: [{rule: language, keep: [en]}]}\n"
    )
    text = "Ein kleiner Hund läuft mit einem Stock im Maul am Strand entlang"
    _, (row,), _ = inspect("caption", text, "--config", "mine.yaml")
    assert (row["language"], row["drops"]) == ("de", ["language"])


def test_the_console_script_reads_a_pipe(tmp_path):
    outcome = pairmill("inspect", "caption", "-", stdin="A red kite over the sea\nfoo\n", cwd=tmp_path)
    assert outcome.code == 0
    assert len(outcome.out.splitlines()) == 2
    assert outcome.err == ""
