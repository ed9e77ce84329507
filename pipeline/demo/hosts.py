"""The hosts of the demo's web: names under a reserved domain, all served from one loopback port."""

from typing import NamedTuple


class Host(NamedTuple):
    """A site: how its pages are marked up and addressed, what its robots.txt says."""

    name: str
    style: str  # a mark-up of markup.py; "" for a host without pages
    item_path: str  # of page number {n}
    list_path: str
    robots: str | None  # the file's text; None: there is none
    weight: int  # share of the pages
    charset: str = "utf-8"


ALLOW_ALL = "User-agent: *\nDisallow:\n"

HOSTS = (
    Host(
        "gallery.demo.test",
        "plain",
        "/picture-{n}.html",
        "/pictures-{n}.html",
        "# a gallery\nUser-agent: BadBot\nDisallow: /\n\nUser-agent: *\nDisallow: /private/\n",
        5,
    ),
    Host("shop.demo.test", "lazy", "/item?id={n}&ref=list", "/items?page={n}", None, 5),
    Host("blog.demo.test", "figure", "/2026/01/post-{n}/", "/archive/{n}/", "\ufeff" + ALLOW_ALL, 4),
    Host("news.demo.test", "srcset", "/story/{n}", "/stories/{n}", ALLOW_ALL + "Sitemap: /sitemap.xml\n", 4),
    Host("wiki.demo.test", "title", "/wiki/Article_{n}", "/wiki/Index_{n}", ALLOW_ALL, 3, charset="gb18030"),
    Host("museum.demo.test", "picture", "/rooms/{n}.html", "/floors/{n}.html", ALLOW_ALL, 4),
    Host("cdn.demo.test", "", "", "", ALLOW_ALL, 0),
    Host("slow.demo.test", "", "", "", ALLOW_ALL, 0),
    Host("quiet.demo.test", "plain", "/page-{n}.html", "", "User-agent: Pairmill\nDisallow: /\n", 0),
    Host("nogpt.demo.test", "plain", "/page-{n}.html", "", "User-agent: GPTBot\nDisallow: /\n", 0),
)
BY_NAME = {host.name: host for host in HOSTS}
PAGE_HOSTS = tuple(host for host in HOSTS if host.weight)
REFUSING_HOSTS = ("quiet.demo.test", "nogpt.demo.test")  # have pages that nobody of ours may read
PICTURE_HOSTS = (*(host.name for host in PAGE_HOSTS), "cdn.demo.test")  # where pictures are when it does not matter
TDMREP = {"museum.demo.test": '[{"location": "/reserved/*", "tdm-reservation": 1}]'}  # /.well-known/tdmrep.json
