"""`pairmill why` tells the whole story: an image that was kept, one refused, one led astray, one cut off."""

import io
import json

import pytest
import yaml
from helpers.command import pairmill
from helpers.in_thread import in_thread
from helpers.raw_server import RawServer, http
from PIL import Image as Picture


def picture() -> bytes:
    out = io.BytesIO()
    Picture.linear_gradient("L").resize((300, 200)).convert("RGB").save(out, "JPEG")
    return out.getvalue()


ROUTES = {
    "/robots.txt": http(200, b"User-agent: GPTBot\nDisallow: /refused\n"),
    "/kept.jpg": http(200, picture(), "Content-Type: text/plain", 'ETag: "one"'),
    "/refused.jpg": http(200, picture()),
    "/astray.jpg": http(302, b"", "Location: http://127.0.0.1:1/inside.jpg"),
    "/cut.jpg": http(200, picture()[:-700]),
}
NAMES = ("kept", "refused", "astray", "cut")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """(what `why --json` says of each image, what the server was asked)."""
    folder = tmp_path_factory.mktemp("fates")
    lines = [f"http://a.test/{name}.jpg,a grey gradient that is {name}" for name in NAMES]
    (folder / "t.csv").write_text("\n".join(["url,caption", *lines]))
    with in_thread(RawServer(ROUTES)) as server:
        config = {
            "collect": {"tables": {"paths": [str(folder / "t.csv")]}},
            "web": {"connect_to": {"a.test:80": f"127.0.0.1:{server.port}"}, "contact": "me@example.org"},
            "score": {"model": "none"},
            "select": {"rules": [{"rule": "caption"}]},
        }
        (folder / "c.yaml").write_text(yaml.safe_dump(config))
        outcome = pairmill("run", folder / "c.yaml", "--run-dir", folder / "run")
    assert outcome.code == 0, outcome.err
    stories = {}
    for name in NAMES:
        outcome = pairmill("why", folder / "run", f"http://a.test/{name}.jpg", "--json")
        stories[name] = json.loads(outcome.out)["events"]
        assert pairmill("why", folder / "run", f"http://a.test/{name}.jpg").out.count("fetch:") == 1
    return stories, server.paths()


def stages(story) -> list[str]:
    return [f"{event['stage']}: {event['what']}" for event in story]


def test_one_that_was_kept(told):
    story = told[0]["kept"]
    assert stages(story) == [
        "collect: candidate",
        "collect: caption",
        "fetch: fetched",
        "select: kept",
        "pack: in a shard",
    ]
    fetched = story[2]
    assert (fetched["http_status"], fetched["original_width"], fetched["original_height"]) == (200, 300, 200)
    assert story[-1]["tar"].startswith("shards/main/")


@pytest.mark.parametrize(("name", "reason", "detail", "status"), [
    ("refused", "robots", "GPTBot: Disallow: /refused", None),
    ("astray", "private_address", "", None),
    ("cut", "truncated", "JPEG", 200),
])  # fmt: skip
def test_one_that_was_dropped(told, name, reason, detail, status):
    story = told[0][name]
    assert stages(story) == ["collect: candidate", "collect: caption", "fetch: dropped"]
    dropped = story[-1]
    assert (dropped["reason"], dropped["detail"], dropped.get("http_status")) == (reason, detail, status)


def test_where_it_was_led(told):
    led = told[0]["astray"][-1]
    assert (led["redirects"], led["final_url"]) == (1, "http://127.0.0.1:1/inside.jpg")
    assert "/refused.jpg" not in told[1]
