import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.html.page import HtmlSettings, clean_text, found_captions, read_page

PAGE = "http://example.org/d/page.html"
GIF = "data:image/gif;base64,R0lGODlhAQABAAAAACw="


def read(html, url=PAGE, **settings):
    return read_page(html, url, HtmlSettings(**settings))


def pairs(html, **settings):
    """(url, text, kind) of each occurrence; urls below the example's folder are shortened."""
    found = found_captions(read(html, **settings))
    return [(f.url.removeprefix("http://example.org/d/"), f.text, f.kind) for f in found]


def urls(html):
    return [url for url, _, _ in pairs(html)]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<img src=a.jpg alt=cat>", [("a.jpg", "cat", "alt")]),
        ("<IMG SRC='a.jpg' ALT='A &eacute;&amp;b'>", [("a.jpg", "A é&b", "alt")]),
        ("<img src=a.jpg alt=cat title=cat>", [("a.jpg", "cat", "alt")]),
        ("<img src=a.jpg alt=cat title='a cat'>", [("a.jpg", "cat", "alt"), ("a.jpg", "a cat", "title")]),
        ("<img src=a.jpg>", [("a.jpg", "", "alt")]),
        ("<img src=a.jpg alt='  '>", [("a.jpg", "", "alt")]),
        ("<img alt=cat>", [("", "cat", "alt")]),  # no url: a reject that is counted
        ("<img src='' alt=cat>", [("", "cat", "alt")]),
        ("<img src='#' alt=cat>", [("#", "cat", "alt")]),
        (
            "<figure><a><img src=a.jpg alt=x></a><figcaption>A <b>big</b>ger<br>cat<p>H<sub>2</sub>O</figcaption>",
            [("a.jpg", "x", "alt"), ("a.jpg", "A bigger cat H2O", "figcaption")],
        ),
        ("<figure><img src=a.jpg alt=cat><figcaption> cat\n</figcaption></figure>", [("a.jpg", "cat", "alt")]),
        (
            "<figure><figure><img src=a.jpg><figcaption>in</figcaption></figure><figcaption>out</figcaption></figure>",
            [("a.jpg", "in", "figcaption")],
        ),
        (
            "<figure><img src=b.jpg><figure><img src=a.jpg><figcaption>in</figcaption></figure></figure>",
            [("b.jpg", "", "alt"), ("a.jpg", "in", "figcaption")],
        ),
        (
            "<figure><img src=a.jpg><figcaption>x<script>y</script><noscript>z</noscript></figcaption></figure>",
            [("a.jpg", "x", "figcaption")],
        ),
        ("<template><img src=a.jpg alt=cat></template>", []),
        ("<!-- <img src=a.jpg alt=cat> -->", []),
        ("<script>'<img src=a.jpg alt=cat>'</script><textarea><img src=b.jpg></textarea>", []),
        ("<html><body></body></html><img src=a.jpg alt=late>", [("a.jpg", "late", "alt")]),
        (
            "<amp-img src=a.jpg alt=cat><noscript><img src=a.jpg alt=cat></noscript></amp-img>",
            [("a.jpg", "cat", "alt")],
        ),
        ("<image src=a.jpg alt=old>", [("a.jpg", "old", "alt")]),
        ("<img src=a.jpg alt='cut off", []),
    ],
)
def test_an_occurrence_is_an_image_and_a_text(html, expected):
    assert pairs(html) == expected


@pytest.mark.parametrize(
    ("attributes", "url"),
    [
        ("src=a.jpg srcset='b.jpg 2x'", "b.jpg"),
        ("src=a.jpg srcset='b.jpg 0.5x'", "a.jpg"),
        ("src=a.jpg srcset='b.jpg 100w, c.jpg 900w, d.jpg 300w'", "c.jpg"),
        ("srcset='b.jpg'", "b.jpg"),
        ("src=a.jpg srcset='/i/w_1,h_1/x.jpg 1x, /i/w_2,h_2/x.jpg 2x'", "http://example.org/i/w_2,h_2/x.jpg"),
        (f"src=a.jpg srcset='{GIF} 1x'", "a.jpg"),
        (f"src='{GIF}' srcset='b.jpg 10w'", "b.jpg"),
        ("src=' a b.jpg\n'", "a%20b.jpg"),
        ("src=//cdn.example/a.jpg", "http://cdn.example/a.jpg"),
        ("src=a.jpg#x", "a.jpg"),
        ("src='http://['", "http://["),
        ("src='a.jpg' data-src=b.jpg", "a.jpg"),
        ("src='a.jpg' data-src=b.jpg class='x lazyload'", "b.jpg"),
        ("src='a.jpg' data-src=b.jpg width=1 height=1", "b.jpg"),
        ("data-src=b.jpg", "b.jpg"),
        ("data-src=lazy.jpg", "lazy.jpg"),
        (f"src='{GIF}' data-original=b.jpg", "b.jpg"),
        (f"src='{GIF}' data-src='{GIF}' data-lazy-src=b.jpg", "b.jpg"),
        (f"src='{GIF}' data-src='x_{{width}}.jpg' data-hi-res-src=b.jpg", "b.jpg"),
        (f"src='{GIF}' data-srcset='b.jpg 100w, c.jpg 200w'", "c.jpg"),
        ("src=/img/blank.gif data-echo=b.jpg", "b.jpg"),
        ("src=/img/lazy_placeholder.png?v=2 data-url=b.jpg", "b.jpg"),
        ("src=about:blank data-lazy=b.jpg", "b.jpg"),
        ("src=/i/1x1.gif data-src=b.jpg", "b.jpg"),
        ("src=photo-1.jpg data-src=b.jpg", "photo-1.jpg"),
        ("src=white.png", "white.png"),
        ("src=white.png data-json='{}'", "white.png"),
    ],
)
def test_the_largest_real_picture_is_taken(attributes, url):
    assert urls(f"<img {attributes} alt=x>") == [url]


@pytest.mark.parametrize(
    ("sources", "url"),
    [
        ("<source srcset='b.webp 800w, c.webp 400w' type=image/webp>", "b.webp"),
        ("<source srcset='v.svg' type=image/svg+xml>", "a.jpg"),
        ("<source srcset='v.jxl 900w' type=image/jxl><source srcset='b.avif 2x' type=image/avif>", "b.avif"),
        ("<source srcset=b.webp type=image/webp>", "b.webp"),
        ("<source srcset=narrow.jpg media='(max-width: 600px)'>", "a.jpg"),
        ("<source srcset=wide.jpg media='(min-width: 600px)'><source srcset=mid.jpg>", "wide.jpg"),
        ("<source data-srcset='b.jpg 9w'>", "b.jpg"),
        ("", "a.jpg"),
    ],
)
def test_a_picture_is_one_image_the_largest_of_its_sources(sources, url):
    assert pairs(f"<picture>{sources}<img src=a.jpg alt=cat></picture>") == [(url, "cat", "alt")]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<img data-src=a.jpg alt=cat><noscript><img src=a.jpg alt=cat></noscript>", [("a.jpg", "cat")]),
        (f"<img src='{GIF}' alt=cat><noscript><img src=a.jpg></noscript>", [("a.jpg", "cat")]),
        (f"<img src='{GIF}'><noscript><img src=a.jpg alt=cat></noscript>", [("a.jpg", "cat")]),
        (
            "<img class=lazy data-src=a-big.jpg alt=cat><noscript><img src=a-s.jpg alt=cat></noscript>",
            [("a-big.jpg", "cat")],
        ),
        ("<noscript><img src=a.jpg alt=cat></noscript>", [("a.jpg", "cat")]),
        ("<img src=a.jpg alt=cat><noscript><img src=b.jpg alt=dog></noscript>", [("a.jpg", "cat"), ("b.jpg", "dog")]),
        ("<noscript><img src=b.jpg alt=dog></noscript><img src=a.jpg alt=cat>", [("b.jpg", "dog"), ("a.jpg", "cat")]),
        ("<head><noscript><img src=a.jpg alt=cat></noscript></head>", [("a.jpg", "cat")]),
    ],
)
def test_noscript_fills_in_and_never_doubles(html, expected):
    assert [(url, text) for url, text, _ in pairs(html)] == expected


def test_an_inline_image_is_an_occurrence_with_a_short_url():
    assert pairs(f"<img src='{GIF + 'A' * 9_999}' alt=dot>") == [((GIF + "A" * 99)[:64], "dot", "alt")]


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("<base href=/x/>", "http://example.org/x/a.jpg"),
        ("<base href=https://cdn.example/y/z>", "https://cdn.example/y/a.jpg"),
        ("<base target=_top><base href=/x/><base href=/y/>", "http://example.org/x/a.jpg"),
        ("<base href='http://['>", "http://example.org/d/a.jpg"),
        ("<base href='data:text/plain,x'>", "http://example.org/d/a.jpg"),
    ],
)
def test_base_href_moves_relative_urls(base, url):
    page = read(f"<head>{base}</head><img src=a.jpg><a href=a.jpg>x</a>")
    assert [image.url for image in page.images] == [url]
    assert page.links == (url,)


def test_without_a_page_url_relative_urls_stay_as_written():
    assert [i.url for i in read("<img src=a.jpg><img src=http://e.org/b.jpg>", url="").images] == [
        "a.jpg",
        "http://e.org/b.jpg",
    ]


def test_open_graph_images_count_with_a_text_of_their_own():
    html = """<meta property="og:title" content="Title"><meta property="og:image" content="/a.jpg">
    <meta property="og:image:alt" content="A cat"><meta property="og:image" content="/b.jpg">"""
    assert pairs(html) == [("http://example.org/a.jpg", "A cat", "og")]
    assert pairs(html, open_graph="title")[1] == ("http://example.org/b.jpg", "Title", "og")
    assert pairs(html, open_graph="off") == []
    assert pairs(html, kinds=["alt"]) == []


def test_kinds_that_are_not_wanted_are_not_read():
    html = "<img src=a.jpg alt=cat title=dog>"
    assert pairs(html, kinds=["title"]) == [("a.jpg", "dog", "title")]


@pytest.mark.parametrize(
    ("html", "licence"),
    [
        ("<img src=a.jpg>", ""),
        ("<img src=a.jpg><a rel='noopener License' href=/l>x</a>", "http://example.org/l"),
        ("<link rel=license href=https://cc.example/by><img src=a.jpg>", "https://cc.example/by"),
        (
            "<link rel=license href=/page><figure><img src=a.jpg><a rel=license href=/own>x</a></figure>",
            "http://example.org/own",
        ),
        ("<img src=a.jpg><figure><img src=b.jpg><a rel=license href=/own>x</a></figure>", ""),
        (
            '<link rel=license href=/page><img src=a.jpg><script type="application/ld+json">{"@graph":[{"@type":'
            '"ImageObject","contentUrl":"a.jpg","license":{"@id":"https://cc.example/by"}}]}</script>',
            "https://cc.example/by",
        ),
        (
            '<img src=a.jpg><script type="application/ld+json">{"@type":"Article","license":"CC BY 4.0"}</script>',
            "CC BY 4.0",
        ),
        ('<img src=a.jpg><script type="application/ld+json">{"license": broken</script>', ""),
        ('<img src=a.jpg><script type="application/ld+json">"license"' + "[" * 99_999 + "</script>", ""),
    ],
)
def test_the_closest_licence_wins(html, licence):
    assert read(html).images[0].licence == licence


def test_links_are_pages_once_in_order():
    html = """<a href=/b>x</a><a href=/a#f>x</a><map><area href=c></map><a href=/b#g>x</a><a href=/n rel="x nofollow">
    </a><a href=mailto:x@y>x</a><a href=javascript:x>x</a><a>x</a><link rel=next href=?p=2><link rel=icon href=/i>"""
    assert read(html).links == (
        "http://example.org/b",
        "http://example.org/a",
        "http://example.org/d/c",
        "http://example.org/d/page.html?p=2",
    )


@pytest.mark.parametrize("content", ["nofollow", "noindex, NoFollow", "none"])
def test_a_page_that_says_nofollow_has_no_links(content):
    html = f"<meta name=ROBOTS content='{content}'><a href=/a>x</a><img src=a.jpg>"
    assert read(html).links == ()
    assert len(read(html).images) == 1


def test_what_the_page_says_of_itself():
    page = read(
        "<html lang=de-AT><title> A\n&amp; B </title><meta name=Robots content=' noai '><meta property=X content=y>"
    )
    assert (page.title, page.language_hint) == ("A & B", "de-at")
    assert page.metas == (("robots", "noai"), ("x", "y"))


def test_dimensions_are_hints():
    image = read("<img src=a.jpg width=' 640px' height=50%>").images[0]
    assert (image.width, image.height) == (640, None)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (" a\n\t b\u00a0c\u3000d ", "a b c d"),
        ("e\u0301", "é"),
        ("a\u200bb\u202ec\ufeffd\x00e\x07", "abcde"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\u200d\u200c", ""),
        (None, ""),
    ],
)
def test_texts_are_clean(text, clean):
    assert clean_text(text) == clean


@given(st.text())
def test_cleaning_twice_changes_nothing(text):
    assert clean_text(clean_text(text)) == clean_text(text)


TOKENS = ["<img src=a.jpg alt='x y'>", "<figure>", "</figure>", "<figcaption>", "t", "</figcaption>", "<noscript>",
          "</noscript>", "<picture>", "</picture>", "<source srcset='a 1x, b 2x'>", "<a rel=license href=/l>", "</a>",
          "<template>", "</template>", "<table>", "<svg>", "</svg>", "<", "&", "\x00", "\ud800", "<base href=/x>",
          f"<img src='{GIF}'>", "<script>", "</script>", "<!--", "-->", "<select>", "<frameset>", "<html>", "'",
          '"']  # fmt: skip


@given(st.lists(st.sampled_from(TOKENS), max_size=40), st.sampled_from([PAGE, "", "nonsense", "http://\ud800"]))
def test_no_soup_raises(tokens, url):
    page = read("".join(tokens), url=url)
    assert [image.number for image in page.images] == list(range(len(page.images)))
    assert all(text for image in page.images for _, text in image.captions)


HOSTILE = {
    "divs": "<div>" * 200_000,
    "lists": "<ul><li>" * 150_000,
    "formatting": "".join(f"<p><font size={i}>x" for i in range(50_000)),
    "few, but wide": "".join(f"<font size={i}>" for i in range(400)) + "<p>x" * 2_000,
    "attributes": "<img " + " ".join(f"a{i}=1" for i in range(100_000)) + ">",
    "figures": "<figure>" * 3_000 + "<img src=a.jpg>" * 3_000,
    "figcaptions": "<figure>" + "<figcaption>" * 3_000 + "<img src=a.jpg>" * 2_000,
    "nested figures": "<figure><img src=a.jpg><a rel=license href=/l><figcaption>x" * 20_000,
    "srcset": "<img srcset='" + "a 1w, " * 100_000 + "'>",
    "brackets": "<img srcset='a " + "(" * 200_000 + "'>",
    "pictures": "<picture>" + "<source srcset='a 1x'>" * 5_000 + "<img src=b>" * 5_000,
    "one word": "a" * 2_000_000,
    "openings": "<" * 500_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_end_soon(name):
    start = time.process_time()
    read("<img src=first.jpg alt=x>" + HOSTILE[name])
    assert time.process_time() - start < 5  # seconds of CPU; unguarded, several take minutes


def test_what_stands_before_the_hostile_part_is_read():
    assert urls("<img src=first.jpg alt=x>" + HOSTILE["lists"] + "<img src=last.jpg>") == ["first.jpg"]


def test_a_long_honest_page_is_read_to_its_end():
    html = "<ul>" + "<li><p>text <b>bold</b> <a href=x>link</a><br><img src=a.jpg alt=cat>" * 5_000 + "</ul>"
    assert len(read(html).images) == 5_000


def test_a_page_is_cut_at_its_limit():
    assert urls_of(read("<img src=a.jpg><img src=b.jpg>", max_characters=15)) == ["http://example.org/d/a.jpg"]


def urls_of(page):
    return [image.url for image in page.images]


def test_a_permalink_mark_is_no_part_of_a_figcaption():
    html = '<figure><img src="a.png"><figcaption>Rescale and resize<a class="headerlink" href="#a">¶</a></figcaption></figure>'
    page = read_page(html, "http://h.example/", HtmlSettings())
    assert page.images[0].captions == (("figcaption", "Rescale and resize"),)
