"""Pages as a browser reads them: lazy loaders, placeholders, encodings of queries, XHTML, sources, fallbacks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.reasons import Reason
from filters.url import UrlRules, judge_url
from transforms.html.media import matches
from transforms.html.page import HtmlSettings, found_captions, read_body

PAGE = "http://p.test/d/page.html"
GIF = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
SVG = "data:image/svg+xml;x"


def found(html, content_type="text/html; charset=utf-8"):
    body = html.encode() if isinstance(html, str) else html
    return found_captions(read_body(body, content_type, PAGE, HtmlSettings()))


def urls(html, content_type="text/html; charset=utf-8"):
    return [f.url.removeprefix("http://p.test") for f in found(html, content_type)]


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("/c/{3F25}.jpg", "/c/%7B3F25%7D.jpg"),
        ("/c/a.jpg?id={1}", "/c/a.jpg?id={1}"),
        ("/c/%7B3F25%7D.jpg", "/c/%7B3F25%7D.jpg"),
    ],
)
def test_a_url_with_braces_is_one(written, url):
    assert urls(f"<img src='{written}' alt=x>") == [url]
    assert judge_url("http://p.test" + url, UrlRules()) is None


@pytest.mark.parametrize("written", ["/{{x}}.jpg", "{{ x }}", "/${x}.jpg", "<%= x %>", "/%7B%7Bx%7D%7D.jpg", "?a=${b}"])
def test_a_template_is_a_counted_reject(written):
    (one,) = found(f'<img src="{written}" alt="x">')
    assert judge_url(one.url, UrlRules()).reason == Reason.URL_TEMPLATE


@pytest.mark.parametrize("tag", ["<img>", "<img alt=x>", "<img src=''>", "<img src='#'>", "<img src='//:0'>",
                                 "<img srcset=''>", "<img src='{{x}}'>", f"<img src='{GIF}'>"])  # fmt: skip
def test_an_image_without_a_picture_is_a_counted_reject(tag):
    (one,) = found(tag)
    assert judge_url(one.url, UrlRules()) is not None


@pytest.mark.parametrize(
    ("attributes", "url"),
    [
        ("class=lazy src=/a.jpg data-url=/product/1.html", "/a.jpg"),
        ("class=lazy src=/a.jpg data-src=/product/1.html", "/a.jpg"),
        ("class=lazy src=/a.jpg data-image=/b.jpg", "/a.jpg"),
        ("src=/a.jpg data-zoom=/b.jpg", "/a.jpg"),
        ("src=/a.jpg data-srcset='/b.jpg 900w'", "/a.jpg"),
        (f"src='{SVG}' nitro-lazy-src=/a.jpg", "/a.jpg"),
        ("data-anything=/a.jpg", "/a.jpg"),
        (f"src='{GIF}' data-x='{{\"a\": \"/no.jpg\"}}' data-y=/a.webp?v=1", "/a.webp?v=1"),
        (f"src='{GIF}' data-placeholder=/p.png data-thing=/a.png", "/a.png"),
        (f"src='{GIF}' data-thumb=/t.png data-thing=/a.png", "/a.png"),
        (f"src='{GIF}' data-thing-src=https://cdn.test/image/12", "https://cdn.test/image/12"),
        (f"src='{GIF}' nitro-lazy-srcset='/a.jpg 1x, /b.jpg 2x'", "/b.jpg"),
        (f"src='{GIF}' data-image='A red fox' data-x=/a.png", "/a.png"),
        ("src='#' data-src=/a.jpg", "/a.jpg"),
        ("src='//:0' data-src=/a.jpg", "/a.jpg"),
        ("src='{{x}}' data-src=/a.jpg", "/a.jpg"),
        ("src='/a-20x15.jpg' data-src=/a-1200x900.jpg", "/a-1200x900.jpg"),
        ("src='/a.jpg?w=20' data-src='/a.jpg?w=800'", "/a.jpg?w=800"),
        ("src='/a_lqip.jpg' data-src=/a.jpg", "/a.jpg"),
        ("src='/a-20x15.jpg' data-srcset='/a-800x600.jpg 800w'", "/a-800x600.jpg"),
        ("src='/a-600x400.jpg' data-zoom=/a-1200x800.jpg", "/a-600x400.jpg"),
        (f"src='{GIF}' data-src='/my photo.jpg'", "/my%20photo.jpg"),
        (f"src='{GIF}' data-src='/p_{{width}}x.jpg' data-widths='[180, 900, 540]'", "/p_900x.jpg"),
        (f"src='{GIF}' data-src='/c/{{3F}}.jpg'", "/c/%7B3F%7D.jpg"),
    ],
)
def test_lazy_attributes_serve_only_where_src_does_not(attributes, url):
    assert [u.removeprefix("http://p.test") for u in urls(f"<img {attributes} alt=x>")] == [url]


QUERIES = {
    "windows-1251": ("кот", "%EA%EE%F2"),
    "shift_jis": ("表", "%95\\"),
    "euc-kr": ("고", "%B0%ED"),
    "gbk": ("猫€", "%C3%A8%80"),
    "gb18030": ("猫€", "%C3%A8%A2%E3"),
    "big5": ("貓", "%BF%DF"),
    "euc-jp": ("猫", "%C7%AD"),
    "iso-8859-2": ("č", "%E8"),
    "windows-1252": ("é漢", "%E9%26%2328450%3B"),
    "utf-8": ("猫", "%E7%8C%AB"),
}


@pytest.mark.parametrize("label", QUERIES)
def test_queries_are_in_the_pages_encoding(label):
    word, query = QUERIES[label]
    body = (
        f"<base href='/d/?{word}'><img src='/a.jpg?q={word}#{word}' srcset='/b.jpg?{word} 2x'><a href='/c?{word}'>x</a>"
    )
    codec = "gb18030" if label == "gbk" else label
    page = read_body(body.encode(codec, "xmlcharrefreplace"), f"text/html; charset={label}", PAGE, HtmlSettings())
    assert page.images[0].url == f"http://p.test/b.jpg?{query}"
    assert page.links == (f"http://p.test/c?{query}",)
    assert page.base_url == f"http://p.test/d/?{query}"


def test_paths_and_other_schemes_stay_utf8():
    body = "<img src='/кот.jpg'><img src='x:?кот'>".encode("cp1251")
    assert urls(body, "text/html; charset=windows-1251") == ["/%D0%BA%D0%BE%D1%82.jpg", "x:?%D0%BA%D0%BE%D1%82"]


@pytest.mark.parametrize("text", ["café ärger", "привет мир", "一只熊在草地上", "ほんとうに", "한국어"])
@pytest.mark.parametrize("content_type", ["", "text/html", "text/html; charset=iso-8859-1"])
def test_one_stray_byte_does_not_spoil_a_page_in_utf8(text, content_type):
    body = f"<img src=/a.jpg alt='{text}'><p>".encode() + b"\xff</p>"
    assert [f.text for f in found(body, content_type)] == [text]


XHTML = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/><script src="/x.js"/></head><body>{}</body></html>'


@pytest.mark.parametrize("kind", ["application/xhtml+xml", "application/xhtml+xml; charset=utf-8", "text/xml"])
@pytest.mark.parametrize("before", ["", "<textarea/>", "<iframe src='/f'/>", "<noscript/>", "<style/>", "<a id='x'/>",
                                    "<![CDATA[ <img src='/no.jpg'/> ]]>"])  # fmt: skip
def test_xhtml_is_read_as_xml(kind, before):
    assert urls(XHTML.format(before + '<img src="/a.jpg" alt="a &gt; b"/>'), kind) == ["/a.jpg"]
    assert urls(XHTML.format('<img src="/a.jpg"/>'), "text/html") == []  # as HTML, the title hides it


def test_an_xhtml_prefix_is_read():
    html = '<h:html xmlns:h="http://www.w3.org/1999/xhtml"><h:script/><h:img src="/a.jpg"/></h:html>'
    assert urls(html, "application/xhtml+xml") == ["/a.jpg"]


@pytest.mark.parametrize("base", ["<svg><base href=/x/></base></svg>", "<math><base href=/x/></math>",
                                  "<p><noscript><base href=/x/></noscript>", "<svg><g><base href=/x/></g></svg>"])  # fmt: skip
def test_a_base_of_another_kind_is_none(base):
    assert urls(f"{base}<img src=a.jpg>") == ["/d/a.jpg"]
    assert urls(f"{base}<base href=/y/><img src=a.jpg>") == ["/y/a.jpg"]


@pytest.mark.parametrize(
    ("picture", "url"),
    [
        ("<img src=/a.jpg><source srcset=/s.jpg>", "/a.jpg"),
        ("<source srcset=/s.jpg><img src=/a.jpg>", "/s.jpg"),
        ("<div><source srcset=/s.jpg></div><img src=/a.jpg>", "/a.jpg"),
        ("<source srcset=/s.jpg><span><img src=/a.jpg></span>", "/a.jpg"),
        ("<source srcset=/s.jpg media='(max-width: 1279px)'><img src=/a.jpg>", "/a.jpg"),
        ("<source srcset=/s.jpg media='(max-width: 1280px)'><img src=/a.jpg>", "/s.jpg"),
        ("<source srcset='/s.jpg 9000w' media=print><img src=/a.jpg>", "/a.jpg"),
        ("<source srcset=/s.jpg media='(min-width: 80em)'><source srcset='/t.jpg 3x'><img src=/a.jpg>", "/s.jpg"),
        ("<source srcset=/s.jpg media=print><img>", "/s.jpg"),
    ],
)
def test_sources_serve_as_in_a_browser(picture, url):
    assert urls(f"<picture>{picture}</picture>") == [url]


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("", True), ("all", True), ("screen", True), ("print", False), ("not print", True), ("only screen", True),
        ("(min-width: 1280px)", True), ("(min-width: 1281px)", False), ("(max-width: 50em)", False),
        ("(width >= 600px)", True), ("(600px <= width < 1280px)", False), ("(1000px < width)", True),
        ("screen and (min-width: 600px) and (max-width: 900px)", False), ("print, (min-width: 1px)", True),
        ("not all and (min-width: 3000px)", True), ("not (min-width: 3000px)", True),
        ("(orientation: portrait)", False), ("(orientation: landscape)", True), ("(prefers-color-scheme: dark)", False),
        ("(-webkit-min-device-pixel-ratio: 2)", True), ("(min-resolution: 192dpi)", True),
        ("(min-resolution: 3dppx)", False), ("(min-aspect-ratio: 16/9)", True), ("(hover: none)", False),
        ("(min-width: 9999px) or (min-width: 1px)", True), ("((min-width: 1px) and (max-width: 2px))", False),
        ("(unknown: 1)", False), ("nonsense(", False), (")", False), ("min-width: 600px", False),
    ],
)  # fmt: skip
def test_media_are_answered_by_a_desktops_window(query, holds):
    assert matches(query) is holds


@given(st.text(alphabet="()<>=:,0123456789.ex/ andorntwihmp-", max_size=60) | st.text(max_size=40))
def test_no_media_query_raises(query):
    assert matches(query) in (True, False)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<amp-img src=/a.jpg><noscript><img src=/b.jpg alt=cat></noscript></amp-img>", [("/a.jpg", "cat")]),
        ("<amp-img src=/a.jpg alt=dog><noscript><img src=/b.jpg alt=cat></noscript></amp-img>", [("/a.jpg", "dog")]),
        ("<img src=/a.jpg><noscript><img src=/a.jpg alt=cat></noscript>", [("/a.jpg", "cat")]),
        ("<img class=lazy data-src=/a.jpg><noscript><img src=/s.jpg alt=cat></noscript>", [("/a.jpg", "cat")]),
        ("<picture><noscript><img src=/b.jpg alt=cat></noscript><img data-src=/a.jpg></picture>", [("/a.jpg", "cat")]),
        ("<img src=/a-20x15.jpg><noscript><img src=/a-900x600.jpg alt=c></noscript>", [("/a-900x600.jpg", "c")]),
        ("<img src='{{x}}' alt=cat><noscript><img src=/a.jpg></noscript>", [("/a.jpg", "cat")]),
        ("<img alt=cat><noscript><img src=/a.jpg></noscript>", [("/a.jpg", "cat")]),
        ("<img src='#'><noscript><img src=/a.jpg alt=cat></noscript>", [("/a.jpg", "cat")]),
        ("<img src=/a.jpg aria-label=cat>", [("/a.jpg", "cat")]),
        ("<img src=/a.jpg alt='' aria-label=cat>", [("/a.jpg", "cat")]),
        ("<img src=/a.jpg alt=cat aria-label=cat>", [("/a.jpg", "cat")]),
        ("<img src=/a.jpg alt=cat aria-label='a cat'>", [("/a.jpg", "cat"), ("/a.jpg", "a cat")]),
    ],
)
def test_fallbacks_and_labels_fill_in(html, expected):
    assert [(f.url.removeprefix("http://p.test"), f.text) for f in found(html)] == expected


ATTRIBUTES = ["src", "srcset", "alt", "data-src", "data-srcset", "data-widths", "class", "x-lazy", "aria-label"]
VALUES = [
    "/a.jpg",
    "#",
    "//:0",
    "{{x}}",
    "/{1}.jpg",
    GIF,
    "a 1x, b 2x",
    "lazy",
    "",
    "é\ud800",
    "${",
    "http://[",
    " a b.png",
]
TAGS = st.dictionaries(st.sampled_from(ATTRIBUTES), st.sampled_from(VALUES)).map(
    lambda d: "<img " + " ".join(f'{name}="{value}"' for name, value in d.items()) + ">"
)
TYPES = ["", "text/html; charset=shift_jis", "text/html; charset=iso-2022-jp", "application/xhtml+xml", "text/xml",
         "text/html; charset=utf-16le", "text/html; charset=gbk", "text/html; charset=big5"]  # fmt: skip


@given(st.binary(max_size=400), st.sampled_from(TYPES))
def test_no_bytes_make_the_reader_raise(body, content_type):
    read_body(body, content_type, PAGE, HtmlSettings())


@given(st.lists(st.one_of(TAGS, st.sampled_from(["<svg>", "<picture>", "</picture>", "<source srcset=/s.jpg>", "<p>",
                                                "<base href='?é'>", "<![CDATA[", "]]>", "<x/>"])), max_size=12),
       st.sampled_from(TYPES))  # fmt: skip
def test_every_image_is_a_candidate_or_a_counted_reject(parts, content_type):
    """Outside noscript, where an image may be another's fallback, as many images come out as tags went in."""
    html = "".join(parts)
    if "CDATA" in html:
        html = html.replace("<![CDATA[", "").replace("]]>", "")
    body = html.encode("utf-8", "replace")
    page = read_body(body, content_type if "utf-16" not in content_type else "", PAGE, HtmlSettings())
    assert len(page.images) == html.count("<img ")
    for image in page.images:
        drop = judge_url(image.url, UrlRules())
        assert drop is not None or image.url.startswith("http")
