"""One builder a record: every field has a plausible value, the test names the ones it cares for."""

from filters.caption import caption_id
from filters.url import normalise_url, uid_of
from transforms import records as r


def caption(text="a red kite over the sea", **changes) -> r.Caption:
    base = r.Caption(caption_id(text), text, "alt", "http://site.example/page", "en", 0.9, 1, "")
    return base._replace(**changes)


def occurrence(url="http://site.example/a.jpg", text="a red kite over the sea", position="0", **changes):
    uid = uid_of(normalise_url(url) or url)
    return r.Occurrence(uid, url, position, r.Source(), caption(text), "", "")._replace(**changes)


def candidate(url="http://site.example/a.jpg", *texts, **changes) -> r.Candidate:
    captions = tuple(caption(t) for t in (texts or ("a red kite over the sea",)))
    uid = uid_of(normalise_url(url) or url)
    return r.Candidate(uid, url, r.Source(), captions, len(captions), "", "")._replace(**changes)


def image(url="http://site.example/a.jpg", *texts, **changes) -> r.Image:
    c = candidate(url, *texts)
    base = r.Image(
        url=url, caption=c.captions[0].text, key=c.uid.hex(), status="success", error_message=None, width=64, height=48,
        original_width=640, original_height=480, exif=None, sha256="ab" * 32, uid=c.uid, source_uid="",
        captions=c.captions, source=r.Source(), extra="", reason="", value=None, detail="", http_status=200,
        original_bytes=40_000, final_url=url, redirects=0, x_robots_tag=None, etag=None, last_modified=None,
        format="JPEG", phash=bytes(32), phash_quality=100, tar=None, offset=None, length=None,
    )  # fmt: skip
    return base._replace(**changes)


def pair(url="http://site.example/a.jpg", *texts, similarity=0.3, **changes) -> r.Pair:
    i = image(url, *texts)
    scored = tuple(r.ScoredCaption(c, similarity) for c in i.captions)
    base = r.Pair(i.uid, url, "0000-00000-00000", 0, i.sha256, i.phash, 100, 640, 480, 40_000, scored)
    return base._replace(**changes)


def example_of(record: type):
    """A value of any record type: unusual text, bytes of every kind, None where it is allowed."""
    odd = caption('ünï "text"\n\0 図', probability=1 / 3, count=2**53)
    one = candidate(captions=(odd, caption("second")), extra='{"a":1}', source=r.Source("x.warc.gz", 2**40, 7, "warc"))
    examples = {
        r.Source: one.source,
        r.Caption: odd,
        r.Occurrence: occurrence(),
        r.Candidate: one,
        r.Reject: r.Reject("url", "occurrence", one.uid, "u", "p", "c", "url_scheme", None, "ftp"),
        r.PageSeen: r.PageSeen("a.warc.gz", "http://p/", 3, ""),
        r.Image: image(value=1.5, phash=None, exif="{}", captions=one.captions),
        r.FetchLog: r.FetchLog(one.uid, "h", "127.0.0.1", 1.5, 0.25, 10),
        r.Score: r.Score(one.uid, odd.id, "m", -0.25),
        r.Selected: r.Selected(one.uid, "u", True, "", "", None, "", (odd.id,), 0.5, "0000-00000-00000", 3),
        r.PlacedCaption: r.PlacedCaption("0", odd),
        r.Merged: r.Merged(occurrence(), (r.PlacedCaption("0", odd),), 1),
        r.Unit: r.Unit("warc", "a", 0),
        r.Stored: r.Stored(one.uid, one.source),
        r.PlanRow: r.PlanRow(3, one, "robots", None, "page on p.example: Pairmill: Disallow: /", None),
        r.RowNumber: r.RowNumber(7),
        r.HostFile: r.HostFile("http://p.example", "/robots.txt", 1.5, b"User-agent: *", "", None, "", 1),
        r.PageRule: r.PageRule("http://p.example/a", "robots", None, "Pairmill: Disallow: /"),
        r.CrawlTarget: r.CrawlTarget("http://p/", 0),
        r.CrawlPage: r.CrawlPage("http://p/", None, "timeout", None, "", ("http://q/",), "", ""),
        r.ScoredCaption: r.ScoredCaption(odd, None),
        r.Pair: pair(similarity=None),
        r.Sample: r.Sample(b"\xff" * 8, image(), None),
        r.PackedFile: r.PackedFile("00000.tar", 2**40, "ab"),
        r.Shard: r.Shard(3, r.PackedFile("00000.tar", 1, "ab"), r.PackedFile("00000.parquet", 2, "cd")),
        r.Share: r.Share((r.Sample(b"\xff" * 8, image(), None),)),
    }
    return examples[record]
