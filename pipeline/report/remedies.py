"""What to do where most of a stage's rows fell for one reason."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from filters.reasons import Reason

MAIN_SHARE = 0.5  # of a stage's rows: a reason with more of them is the stage's outcome

REMEDIES: dict[Reason, str] = {
    Reason.PAGE_OPT_OUT: "these sites do not want to be collected; choose other ones",
    Reason.ARCHIVE_BROKEN: "the archives are damaged; fetch them again",
    Reason.ROW_BROKEN: "the rows cannot be read; rejects/ says what is wrong with them",
    Reason.NOT_HTML: "the seeds lead to no pages; look at one with `pairmill inspect page URL`",
    Reason.URL_INVALID: "is the column of urls the right one (collect.tables.url)?",
    Reason.URL_SCHEME: "only http and https are asked; files on a disk are taken by the configuration adopt",
    Reason.URL_TEMPLATE: "a script was to fill the urls in; give them filled in",
    Reason.URL_TOO_LONG: "collect.url.max_length is the bound",
    Reason.URL_BLOCKED: "collect.url.block has the patterns",
    Reason.CAPTION_EMPTY: "is the column of captions the right one (collect.tables.caption)?",
    Reason.CAPTION_BROKEN_TEXT: "the text has another encoding; name it, collect.tables.encoding",
    Reason.CAPTION_IS_FILE_NAME: "is the column of captions the right one (collect.tables.caption)?",
    Reason.NOT_STORED: "these archives hold few images; collect.warc.images: prefer asks for the others",
    Reason.CAPTION_TOO_SHORT: "min_characters of the rule caption is the bound",
    Reason.CAPTION_TOO_FEW_WORDS: "min_words of the rule caption is the bound; 1 takes titles too",
    Reason.CAPTION_TOO_LONG: "max_characters and max_words of the rule caption are the bounds",
    Reason.CAPTION_BOILERPLATE: "boilerplate: false of the rule caption keeps such texts",
    Reason.CAPTION_IS_URL: "is the column of captions the right one (collect.tables.caption)?",
    Reason.CAPTION_NO_LETTERS: "is the column of captions the right one (collect.tables.caption)?",
    Reason.CAPTION_CONTACT: "emails: false and phones: false of the rule contact keep them",
    Reason.CAPTION_REPEATED: "max_images of the rule caption_repetition is the bound",
    Reason.LANGUAGE: "keep of the rule language names the languages that stay, min_probability how sure it must be",
    Reason.ROBOTS: "these sites do not want to be asked; choose other ones",
    Reason.ROBOTS_UNAVAILABLE: "`pairmill retry` asks again another day",
    Reason.CRAWL_DELAY_TOO_LONG: "web.max_crawl_delay_s is the bound",
    Reason.HOST_BUDGET: "a few hosts have most rows; web.max_host_hours is how long one may take",
    Reason.HOST_UNREACHABLE: "`pairmill retry` asks again another day",
    Reason.OPT_OUT: "these sites do not want to be collected; choose other ones",
    Reason.PRIVATE_ADDRESS: "the hosts' names lead to this machine or a private network; where that is meant, name it, "
                            "web.allow_private=[127.0.0.0/8]",
    Reason.PORT_NOT_ALLOWED: "web.ports names the ports that may be asked",
    Reason.DNS_NOT_FOUND: "the hosts are gone, or this machine's resolver does not know them (web.resolvers)",
    Reason.CONNECT_FAILED: "is a firewall or a proxy between this machine and them? `pairmill retry` asks again",
    Reason.TLS_FAILED: "certificates of an authority of your own are named by web.ca_file",
    Reason.TIMEOUT: "fewer requests at once (web.concurrency), longer deadlines (web.timeouts), then `pairmill retry`",
    Reason.CONNECTION_LOST: "`pairmill retry` asks again",
    Reason.BAD_HTTP: "what answers there is no web server, or a proxy; look at one with `pairmill inspect image URL`",
    Reason.BAD_ENCODING: "look at one with `pairmill inspect image URL`",
    Reason.TOO_MANY_BYTES: "web.max_image_bytes is the bound",
    Reason.TOO_MANY_REDIRECTS: "web.max_redirects is the bound",
    Reason.REDIRECT_LOOP: "the sites may want cookies, which are never sent",
    Reason.BAD_REDIRECT: "look at one with `pairmill inspect image URL`",
    Reason.HTTP_STATUS: "look at one with `pairmill inspect image URL`; old lists of urls lose some of them a year",
    Reason.HASH_MISMATCH: "the images have changed since; a run in another --run-dir has them as they are",
    Reason.STORED_RANGE_UNREADABLE: "are the archives and tars still where they were?",
    Reason.LOCAL_NETWORK: "this machine's network fails; `pairmill retry` asks again when it is back",
    Reason.LOCAL_RESOLVER: "this machine's resolver fails (web.resolvers); `pairmill retry` asks again when it is back",
    Reason.EMPTY_BODY: "look at one with `pairmill inspect image URL`",
    Reason.NOT_AN_IMAGE: "the urls lead to something else, such as pages about images; is the column the right one?",
    Reason.FORMAT_NOT_ALLOWED: "fetch.image.formats names those that are decoded",
    Reason.TOO_MANY_PIXELS: "fetch.image.max_pixels is the bound",
    Reason.TRUNCATED: "`pairmill retry` asks again; fetch.image.truncated: keep takes what came",
    Reason.DECODE_FAILED: "look at one with `pairmill inspect image URL`",
    Reason.DECODER_CRASHED: "is there too little memory for the decoders (fetch.decoders)? `pairmill retry` asks again",
    Reason.IMAGE_TOO_SMALL: "min_side is the bound, of fetch.image.rules and of the rule size",
    Reason.ASPECT_TOO_EXTREME: "max_aspect is the bound, of fetch.image.rules and of the rule size",
    Reason.TOO_FEW_BYTES: "min_bytes is the bound, of fetch.image.rules and of the rule size",
    Reason.EXACT_DUPLICATE: "many urls lead to one image, such as a site's placeholder",
    Reason.NEAR_DUPLICATE: "radius of the rule near_duplicate is the bound",
    Reason.SCORE_TOO_LOW: "min of the rule score is the bound; the report shows how similar images and captions are",
    Reason.SCORE_NOT_IN_TOP_SHARE: "top_share of the rule score is how many stay",
    Reason.SCORE_MISSING: "nothing was scored: set score.model, or leave the rule score out",
    Reason.USER_RULE: "a rule of your own said so",
    Reason.INTERNAL_ERROR: "this is a fault of Pairmill's: logs/ of the run has its traceback; please report it",
}  # fmt: skip
NOT_SHOWN = {Reason.HANDED_OVER}  # never the last word


def main_reasons(funnel: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each stage of which more than half of the rows fell for one reason: how many, and the remedy."""
    lines = []
    for stage in dict.fromkeys(step["stage"] for step in funnel):
        steps = [step for step in funnel if step["stage"] == stage]
        rows = steps[0]["rows_in"]
        rejects: Counter[str] = Counter()
        for step in steps:
            rejects.update(step["rejects"])
        for reason, count in rejects.most_common(1):
            if count > MAIN_SHARE * rows:
                lines.append(f"{stage}: {count:,} of {rows:,} fell for {reason}: {remedy_of(reason)}")
    return lines


def remedy_of(reason: str) -> str:
    """A rule from outside may name reasons of its own."""
    return REMEDIES.get(reason, REMEDIES[Reason.USER_RULE])  # type: ignore[call-overload]
