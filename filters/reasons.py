"""Every reason for which Pairmill drops something. A reason, once released, keeps its name.

A name says what was wrong, in the order of the stages. `local_*` are failures of ours (our network, our
resolver): they are never final.
"""

from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Why an occurrence, a caption or a candidate was dropped."""

    # collect: the page and the url
    PAGE_OPT_OUT = "page_opt_out"  # meta robots, X-Robots-Tag or TDMRep of the page
    ARCHIVE_BROKEN = "archive_broken"  # a WARC file, or a record of it, is damaged or ends early
    ROW_BROKEN = "row_broken"  # of a table or an adopted folder: no row, or a value that is no text
    NOT_HTML = "not_html"  # a page of a crawl that is something else
    URL_INVALID = "url_invalid"  # does not parse by the WHATWG URL standard
    URL_SCHEME = "url_scheme"  # not http or https
    URL_TEMPLATE = "url_template"  # a script was to fill it in: {{…}}, ${…} or <%…%>
    URL_TOO_LONG = "url_too_long"
    URL_BLOCKED = "url_blocked"  # block-list of the configuration
    CAPTION_EMPTY = "caption_empty"
    CAPTION_BROKEN_TEXT = "caption_broken_text"  # bytes that are none in its encoding: it holds U+FFFD
    CAPTION_IS_FILE_NAME = "caption_is_file_name"
    NOT_STORED = "not_stored"  # only stored images were wanted, and no archive holds this one

    # select: captions
    CAPTION_TOO_SHORT = "caption_too_short"
    CAPTION_TOO_FEW_WORDS = "caption_too_few_words"
    CAPTION_TOO_LONG = "caption_too_long"
    CAPTION_BOILERPLATE = "caption_boilerplate"
    CAPTION_IS_URL = "caption_is_url"
    CAPTION_NO_LETTERS = "caption_no_letters"
    CAPTION_CONTACT = "caption_contact"  # e-mail address or telephone number
    CAPTION_REPEATED = "caption_repeated"  # one text on too many images
    LANGUAGE = "language"

    # fetch: manners
    ROBOTS = "robots"  # a rule of robots.txt, of the image's host or of the page's
    ROBOTS_UNAVAILABLE = "robots_unavailable"  # robots.txt answered 5xx, 429 or not at all
    CRAWL_DELAY_TOO_LONG = "crawl_delay_too_long"
    HOST_BUDGET = "host_budget"
    HOST_UNREACHABLE = "host_unreachable"  # it stopped answering: its other urls were not asked
    OPT_OUT = "opt_out"  # X-Robots-Tag or TDMRep of the image's answer

    # fetch: address and transport
    PRIVATE_ADDRESS = "private_address"
    PORT_NOT_ALLOWED = "port_not_allowed"
    DNS_NOT_FOUND = "dns_not_found"
    CONNECT_FAILED = "connect_failed"
    TLS_FAILED = "tls_failed"
    TIMEOUT = "timeout"  # connect, read or total deadline
    CONNECTION_LOST = "connection_lost"
    BAD_HTTP = "bad_http"  # an answer that is not HTTP
    BAD_ENCODING = "bad_encoding"  # broken or unknown Content-Encoding
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    REDIRECT_LOOP = "redirect_loop"
    BAD_REDIRECT = "bad_redirect"  # missing Location, or a scheme that is not http(s)
    HTTP_STATUS = "http_status"  # value: the status code
    HASH_MISMATCH = "hash_mismatch"  # a refresh found other bytes than were fetched before
    HANDED_OVER = "handed_over"  # led to a host of another task, which asks it in the next round: never the last word
    STORED_RANGE_UNREADABLE = "stored_range_unreadable"
    LOCAL_NETWORK = "local_network"
    LOCAL_RESOLVER = "local_resolver"

    # fetch: the image
    EMPTY_BODY = "empty_body"
    NOT_AN_IMAGE = "not_an_image"
    FORMAT_NOT_ALLOWED = "format_not_allowed"
    TOO_MANY_PIXELS = "too_many_pixels"
    TRUNCATED = "truncated"
    DECODE_FAILED = "decode_failed"
    DECODER_CRASHED = "decoder_crashed"  # a decoder's process ended or hung over it
    IMAGE_TOO_SMALL = "image_too_small"
    ASPECT_TOO_EXTREME = "aspect_too_extreme"
    TOO_FEW_BYTES = "too_few_bytes"

    # select: images and pairs
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    SCORE_TOO_LOW = "score_too_low"
    SCORE_NOT_IN_TOP_SHARE = "score_not_in_top_share"
    SCORE_MISSING = "score_missing"
    USER_RULE = "user_rule"  # detail: module:function

    INTERNAL_ERROR = "internal_error"


class Drop(NamedTuple):
    """A judgement's no: the reason, the measured value where there is one, and what a person should read."""

    reason: Reason
    value: float | None = None
    detail: str = ""


# What may be over in an hour: it says nothing against an image that was fetched before.
_MAY_PASS = frozenset(
    {
        Reason.ROBOTS_UNAVAILABLE,
        Reason.HOST_BUDGET,
        Reason.HOST_UNREACHABLE,
        Reason.CONNECT_FAILED,
        Reason.TIMEOUT,
        Reason.CONNECTION_LOST,
        Reason.LOCAL_NETWORK,
        Reason.LOCAL_RESOLVER,
        Reason.TRUNCATED,
        Reason.DECODER_CRASHED,
        Reason.INTERNAL_ERROR,
    }
)
_STATUS_MAY_PASS = frozenset({408, 425, 429})


def may_pass(drop: Drop) -> bool:
    """Whether asking again another day makes sense: of statuses, 408, 425, 429 and 5xx (RFC 9110, 15.5 and 15.6)."""
    if drop.reason is Reason.HTTP_STATUS and drop.value is not None:
        return drop.value in _STATUS_MAY_PASS or drop.value >= 500
    return drop.reason in _MAY_PASS


# What `retry` asks for by default: all that failed on the way. A host's no stays, and so does what was wrong
# with an image that came.
ASKED_AGAIN = _MAY_PASS | {
    Reason.DNS_NOT_FOUND,
    Reason.TLS_FAILED,
    Reason.BAD_HTTP,
    Reason.BAD_ENCODING,
    Reason.HTTP_STATUS,
    Reason.EMPTY_BODY,
}
