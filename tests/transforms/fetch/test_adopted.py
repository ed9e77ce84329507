"""The words of another tool's failures, and which of them are asked again."""

import pytest

from filters.reasons import ASKED_AGAIN, Drop, Reason, may_pass
from transforms.fetch.adopted import drop_of_message

DOWNLOAD, RESIZE = "failed_to_download", "failed_to_resize"


@pytest.mark.parametrize(("status", "message", "reason", "value"), [
    (DOWNLOAD, "HTTP Error 404: Not Found", Reason.HTTP_STATUS, 404),
    (DOWNLOAD, "HTTP Error 503: Service Unavailable", Reason.HTTP_STATUS, 503),
    (DOWNLOAD, "<urlopen error timed out>", Reason.TIMEOUT, None),
    (DOWNLOAD, "The read operation timed out", Reason.TIMEOUT, None),
    (DOWNLOAD, "<urlopen error [Errno -2] Name or service not known>", Reason.CONNECT_FAILED, None),
    (DOWNLOAD, "<urlopen error [Errno -3] Temporary failure in name resolution>", Reason.CONNECT_FAILED, None),
    (DOWNLOAD, "<urlopen error [Errno 111] Connection refused>", Reason.CONNECT_FAILED, None),
    (DOWNLOAD, "<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed>", Reason.TLS_FAILED, None),
    (DOWNLOAD, "[Errno 104] Connection reset by peer", Reason.CONNECTION_LOST, None),
    (DOWNLOAD, "Remote end closed connection without response", Reason.CONNECTION_LOST, None),
    (DOWNLOAD, "Use of image disallowed by X-Robots-Tag directive", Reason.OPT_OUT, None),
    (DOWNLOAD, "unknown url type: 'ftpx'", Reason.URL_INVALID, None),
    (DOWNLOAD, "something new", Reason.CONNECT_FAILED, None),
    (RESIZE, "Image decoding error", Reason.DECODE_FAILED, None),
    (RESIZE, "image too small", Reason.IMAGE_TOO_SMALL, None),
    (RESIZE, "aspect ratio too large", Reason.ASPECT_TOO_EXTREME, None),
])  # fmt: skip
def test_a_failure_has_one_of_our_reasons(status, message, reason, value):
    drop = drop_of_message(status, message)
    assert (drop.reason, drop.value) == (reason, value)


def test_what_is_asked_again_and_what_is_final():
    assert {Reason.TIMEOUT, Reason.HTTP_STATUS, Reason.LOCAL_RESOLVER} <= ASKED_AGAIN
    assert not {Reason.ROBOTS, Reason.OPT_OUT, Reason.PAGE_OPT_OUT, Reason.IMAGE_TOO_SMALL} & ASKED_AGAIN


@pytest.mark.parametrize(("drop", "passes"), [
    (Drop(Reason.HTTP_STATUS, 404), False), (Drop(Reason.HTTP_STATUS, 410), False), (Drop(Reason.HTTP_STATUS, 429), True),
    (Drop(Reason.HTTP_STATUS, 503), True), (Drop(Reason.TIMEOUT), True), (Drop(Reason.ROBOTS), False),
    (Drop(Reason.DNS_NOT_FOUND), False),
])  # fmt: skip
def test_what_takes_no_image_away(drop, passes):
    assert may_pass(drop) is passes
