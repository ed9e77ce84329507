"""The one way to the web: everything that the crawl and the fetch ask goes through `PoliteWeb.ask`."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType

from selectolax.lexbor import LexborHTMLParser

from filters.optout import TdmRule, judge_headers, judge_tdm
from filters.reasons import Drop, Reason
from filters.robots import path_of
from filters.url import host_of, normalise_url
from transforms.coordination.fatal import FatalError
from transforms.formats.http_headers import Headers, joined, values_of
from transforms.web.address import Resolver
from transforms.web.client import Answer, Client, Reply, Wanted, answer_of, follow
from transforms.web.dns import Lookup
from transforms.web.host_files import HostFiles
from transforms.web.robots_cache import RobotsCache, TdmCache
from transforms.web.schedule import Schedule, Turn
from transforms.web.settings import Kind, Pace, WebSettings

ACCEPT = {
    "image": "image/jpeg,image/png,image/webp,image/*;q=0.9,*/*;q=0.5",
    "page": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.5",
}
NOT_MODIFIED = 304
# A page's host that cannot be asked says nothing about an image on another host; these do.
_NO_OF_THE_PAGE = frozenset({Reason.ROBOTS, Reason.ROBOTS_UNAVAILABLE, Reason.LOCAL_NETWORK, Reason.LOCAL_RESOLVER})


class PoliteWeb:
    """Asks the web with manners: robots.txt, opt-outs, pace, addresses, deadlines, caps.

    `async with PoliteWeb(settings) as web: answer = await web.ask(url)`. Thousands of asks may be under way: one that
    waits costs a coroutine. One instance belongs to one event loop; hosts must not be shared between instances.
    `may_ask` is given where hosts pass from process to process: it is called before each request, and again when its
    connection is ready; it raises where another attempt owns them now. The first request to a host keeps the distance
    from what an earlier process may have asked. `ready` is awaited before each request: bodies that nobody has time
    for are not asked for. `owns` says which hosts are this instance's: an image that redirects to another is handed
    over. `host_files` remembers robots.txt and tdmrep.json beyond this instance.
    """

    def __init__(
        self,
        settings: WebSettings,
        own_version: str = "",
        look_up: Lookup | None = None,
        may_ask: Callable[[], object] | None = None,
        ready: Callable[[], Awaitable[object]] | None = None,
        owns: Callable[[str], bool] = lambda host: True,
        host_files: HostFiles | None = None,
    ) -> None:
        self.settings = settings
        self.may_ask = may_ask or (lambda: None)
        self._owns = owns
        user_agent = settings.user_agent(own_version or _installed_version())
        self._client = Client(settings, user_agent, Resolver(settings, look_up))
        self._schedule = Schedule(settings, follows=may_ask is not None, ready=ready)
        self._host_files = host_files or HostFiles(settings.robots.max_age_s)
        self._robots = RobotsCache(self._ask_for_rules, settings, self._host_files)
        self._tdm = TdmCache(self._ask_for_tdmrep, settings, self._host_files)

    @property
    def agents(self) -> tuple[str, ...]:
        """Those whose no is a no to us."""
        return self.settings.agents

    async def __aenter__(self) -> "PoliteWeb":
        await self._host_files.__aenter__()
        await self._client.__aenter__()
        return self

    async def __aexit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._robots.close()
        await self._tdm.close()
        await self._client.__aexit__(kind, error, trace)
        await self._host_files.__aexit__(kind, error, trace)

    @property
    def in_flight(self) -> int:
        """Requests that are under way."""
        return self._client.in_flight

    async def ask(
        self, url: str, kind: Kind = "image", page_url: str = "", headers: Headers = (), redirects: int = 0
    ) -> Answer:
        """The answer to `url`, or the drop that says why there is none. Expected failures are never exceptions.

        `redirects`: how many have led to `url` already.
        """
        drop = await self.judge_page(page_url)
        if drop is not None:
            return answer_of(url, [Reply(url, drop=drop)])
        wanted = Wanted(self._max_bytes(kind), ACCEPT[kind], headers)
        answer = await follow(
            url, partial(self._own_hop, kind, wanted, host_of(url)), self.settings.max_redirects, redirects
        )
        if answer.drop is not None and answer.status != NOT_MODIFIED:
            return answer
        drop = await self._judge_opt_outs(answer, kind)
        return answer if drop is None else answer._replace(drop=drop, body=b"")

    def _max_bytes(self, kind: Kind) -> int:
        return self.settings.max_image_bytes if kind == "image" else self.settings.max_page_bytes

    async def judge_page(self, page_url: str) -> Drop | None:
        """What the host of the page on which an image was found says of that page: robots.txt, tdmrep.json."""
        url = normalise_url(page_url) if page_url else None
        if url is None or not url.startswith(("http://", "https://")):
            return None
        drop = self._client.judge_target(url) or await self._robots.judge(url)
        if drop is None:
            drop = await self._judge_tdmrep(url)
        elif drop.reason not in _NO_OF_THE_PAGE:
            return None
        return None if drop is None else drop._replace(detail=f"page on {host_of(url)}: {drop.detail}")

    async def _judge_tdmrep(self, url: str) -> Drop | None:
        if not self.settings.opt_outs.tdmrep:
            return None
        drop = judge_tdm(None, None, await self._tdm.rules(url), path_of(url).decode("ascii", "replace"))
        return None if drop is None else drop._replace(reason=Reason.PAGE_OPT_OUT)

    async def _own_hop(self, kind: Kind, wanted: Wanted, first: str, url: str) -> Reply:
        """A hop of an image. `first`: the host that it was planned for."""
        host = host_of(url)
        if host == first or self._owns(host):
            return await self._hop(kind, wanted, url)
        return Reply(url, drop=self._client.judge_target(url) or Drop(Reason.HANDED_OVER, None, host))

    async def _hop(self, kind: Kind, wanted: Wanted, url: str) -> Reply:
        """One request of a chain of redirects, judged as if it were the first."""
        drop = self._client.judge_target(url) or await self._robots.judge(url)
        if drop is not None:
            return Reply(url, drop=drop)
        delay_s = await self._robots.crawl_delay_s(url)
        if delay_s > self.settings.max_crawl_delay_s:
            return Reply(url, drop=Drop(Reason.CRAWL_DELAY_TOO_LONG, delay_s))
        return await self._in_turn(url, wanted, kind, delay_s)

    async def _in_turn(self, url: str, wanted: Wanted, kind: Kind = "image", delay_s: float = 0.0) -> Reply:
        """Ask when the host's turn has come; again after a 429 or 503, when it has come again."""
        name = host_of(url)
        pace = with_delay(self.settings.pace(name, kind), delay_s)
        reply: Reply | None = None
        for _ in range(self.settings.retries + 1):
            async with self._schedule.turn(name, pace, wanted.urgent) as turn:
                if turn.drop is not None:
                    return reply or Reply(url, drop=turn.drop)
                self.may_ask()
                reply = await self._client.exchange(url, wanted, Allowed(turn, self.may_ask))
                self.may_ask()
                self._schedule.note_end(name, reply.status, reply.drop, turn)
            if not self._schedule.judge_answer(name, reply.status, reply.headers):
                break
        assert reply is not None
        return reply

    async def _ask_for_rules(self, url: str, max_bytes: int) -> Answer:
        """robots.txt: the only thing that is asked for without asking robots.txt."""
        wanted = Wanted(max_bytes, "text/plain,*/*;q=0.5", cut=True)
        return await follow(url, partial(self._plain_hop, wanted), self.settings.robots.max_redirects)

    async def _plain_hop(self, wanted: Wanted, url: str) -> Reply:
        drop = self._client.judge_target(url)
        return await self._in_turn(url, wanted) if drop is None else Reply(url, drop=drop)

    async def _ask_for_tdmrep(self, url: str, max_bytes: int) -> Answer:
        wanted = Wanted(max_bytes, "application/json,*/*;q=0.5", cut=True, urgent=True)
        return await follow(url, partial(self._hop, "image", wanted), self.settings.max_redirects)

    async def _judge_opt_outs(self, answer: Answer, kind: Kind) -> Drop | None:
        """What the answer says of being collected. What a page says of itself is judged where it is read."""
        wanted = self.settings.opt_outs
        if kind == "page":
            return await self._judge_page_file(answer) if wanted.tdmrep else None
        drop = self.judge_own_headers(answer)
        if drop is None and wanted.tdmrep:
            said = _tdm_header(answer)
            drop = judge_tdm(said, None, await self._tdm_rules(answer, said), _path(answer))
        return drop

    def judge_own_headers(self, answer: Answer) -> Drop | None:
        """What an answer says of being collected by itself, asked for just now or long ago and archived."""
        wanted = self.settings.opt_outs
        drop = None
        if wanted.x_robots_tag:
            drop = judge_headers(values_of(answer.headers, "x-robots-tag"), self.agents)
        if drop is None and wanted.tdmrep:
            drop = judge_tdm(_tdm_header(answer), None)
        return drop

    async def _judge_page_file(self, answer: Answer) -> Drop | None:
        """The host's tdmrep.json, unless the page's own header or meta has the last word."""
        if _tdm_header(answer) or _tdm_meta(answer.body) is not None:
            return None
        return await self._judge_tdmrep(answer.final_url)

    async def _tdm_rules(self, answer: Answer, said: str | None) -> Sequence[TdmRule]:
        return () if said in ("0", "1") else await self._tdm.rules(answer.final_url)


class Allowed:
    """A turn whose request is sent only if its host is still ours at that moment: connecting can take long."""

    def __init__(self, turn: Turn, may_ask: Callable[[], object]) -> None:
        self._turn, self._may_ask = turn, may_ask

    def sent(self) -> bool:
        try:
            self._may_ask()
        except FatalError:
            return False
        self._turn.sent()
        return True

    def answered(self) -> None:
        self._turn.answered()


def _path(answer: Answer) -> str:
    return path_of(answer.final_url).decode("ascii", "replace")


def _tdm_header(answer: Answer) -> str | None:
    return joined(answer.headers, "tdm-reservation").partition(",")[0].strip() or None


def with_delay(pace: Pace, delay_s: float) -> Pace:
    """A Crawl-delay is a gap between requests made one at a time."""
    return pace if delay_s <= pace.gap_s else Pace(at_once=1, gap_s=delay_s)


def _tdm_meta(body: bytes) -> str | None:
    for element in LexborHTMLParser(body).css("meta[name][content]"):
        if (element.attributes.get("name") or "").strip().lower() == "tdm-reservation":
            return element.attributes.get("content")
    return None


def _installed_version() -> str:
    try:
        return version("pairmill")
    except PackageNotFoundError:
        return "0"
