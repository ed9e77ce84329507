"""`pairmill retry RUN --pages`: failed pages of a crawl are asked again, and of the images only those that are new."""

import io
import json

import pyarrow.parquet as pq
import pytest
import yaml
from helpers.command import pairmill
from helpers.in_thread import in_thread
from helpers.raw_server import RawServer, http
from PIL import Image as Picture


def picture(side: int) -> bytes:
    out = io.BytesIO()
    Picture.radial_gradient("L").resize((side, side)).convert("RGB").save(out, "JPEG")
    return http(200, out.getvalue(), "Content-Type: image/jpeg")


def page(*images: str, links: tuple[str, ...] = ()) -> bytes:
    html = "".join(f'<img src="/{name}.jpg" alt="a red kite over the {name} and the sea">' for name in images)
    html += "".join(f'<a href="{link}">x</a>' for link in links)
    return http(200, f"<html lang=en>{html}</html>".encode(), "Content-Type: text/html; charset=utf-8")


class Site(RawServer):
    """Three pages with pictures; the second, which alone leads to the third, is out of order until `well`."""

    def __init__(self) -> None:
        names = ("harbour", "dunes", "lighthouse", "meadow")
        super().__init__({
            "/": page("harbour", "dunes", links=("/second",)),
            "/second": page("dunes", "lighthouse", links=("/third",)),
            "/third": page("meadow"),
        } | {f"/{name}.jpg": picture(80 + 8 * n) for n, name in enumerate(names)})  # fmt: skip
        self.well = False

    async def _answer(self, request, writer):
        if request.path == "/second" and not self.well:
            writer.write(http(503, b"", "Retry-After: 0"))
        else:
            await super()._answer(request, writer)

    def asked(self) -> list[str]:
        return sorted(r.path for r in self.log if not r.path.endswith((".txt", ".json")))


@pytest.fixture
def site():
    with in_thread(Site()) as server:
        yield server


def config(folder, site):
    settings = {
        "collect": {"crawl": {"seeds": ["http://a.test/"]}},
        "web": {"connect_to": {"a.test:80": f"127.0.0.1:{site.port}"}, "contact": "me@example.org",
                "hosts": [{"pattern": "*", "gap_s": 0.0}]},
        "score": {"model": "none"},
        "select": {"rules": []},
    }  # fmt: skip
    (folder / "c.yaml").write_text(yaml.safe_dump(settings))
    return folder / "c.yaml"


def rows_of(run, folder: str) -> list[dict]:
    found = [p for p in sorted((run / folder).glob("*.parquet")) if ".log." not in p.name and "pages-" not in p.name]
    return [row for path in found for row in pq.read_table(path).to_pylist()]


def samples_in(run) -> int:
    return json.loads((run / "shards/main/manifest.json").read_text())["samples"]


def test_a_page_that_came_back(site, tmp_path):
    run = tmp_path / "run"
    outcome = pairmill("run", config(tmp_path, site), "--run-dir", run)
    assert outcome.code == 0, outcome.err
    assert samples_in(run) == 2
    site.well, site.log = True, []

    outcome = pairmill("retry", run, "--pages")
    assert outcome.code == 0, outcome.err
    assert site.asked() == ["/lighthouse.jpg", "/meadow.jpg", "/second", "/third"]
    assert sorted(row["url"] for row in rows_of(run, "images")) == [
        f"http://a.test/{name}.jpg" for name in ("dunes", "harbour", "lighthouse", "meadow")
    ]
    assert samples_in(run) == 4
    stats = json.loads((run / "stats.json").read_text())
    assert stats["pages"] == {"": 3}

    site.log = []
    assert pairmill("run", config(tmp_path, site), "--run-dir", run).code == 0
    assert site.asked() == []  # all is done
    outcome = pairmill("retry", run, "--pages")
    assert outcome.code == 0, outcome.err
    assert site.asked() == []  # nothing failed


def test_a_crawl_of_which_nothing_came(site, tmp_path):
    """The run ends with a guard's no; when the site is back, its pages can be asked again."""
    run = tmp_path / "run"
    site.routes["/"] = http(503, b"", "Retry-After: 0")
    outcome = pairmill("run", config(tmp_path, site), "--run-dir", run)
    assert outcome.code == 1
    site.routes["/"], site.well = page("harbour", links=("/second",)), True
    outcome = pairmill("retry", run, "--pages")
    assert outcome.code == 0, outcome.err
    assert len(rows_of(run, "candidates")) == 4
    outcome = pairmill("run", config(tmp_path, site), "--run-dir", run)
    assert outcome.code == 0, outcome.err
    assert samples_in(run) == 4


def test_before_any_work(site, tmp_path):
    run = tmp_path / "run"
    (tmp_path / "t.csv").write_text("url,caption\nhttp://localhost:9/a.jpg,a boat\n")
    assert pairmill("run", "urls", "--run-dir", run, "--set", f"collect.tables.paths=[{tmp_path}/t.csv]").code == 0
    outcome = pairmill("retry", run, "--pages")
    assert outcome.code == 2
    assert "there was no crawl" in outcome.err
