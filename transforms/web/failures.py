"""The stable reason behind the end of a transfer: curl's codes and the system's, as our drops."""

import errno
import re

import pycurl
from ada_url import URL

from filters.reasons import Drop, Reason
from transforms.web.curl import End
from transforms.web.transfer import Transfer

_OUR_NETWORK = {errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS}
_TLS = {
    pycurl.E_SSL_CONNECT_ERROR,
    pycurl.E_PEER_FAILED_VERIFICATION,
    pycurl.E_SSL_CIPHER,
    pycurl.E_SSL_ISSUER_ERROR,
    pycurl.E_SSL_INVALIDCERTSTATUS,
}
_WEIRD_SERVER_REPLY, _TOO_LARGE = 8, 100  # CURLE_*; pycurl has no names for them
_NOT_HTTP = {_WEIRD_SERVER_REPLY, _TOO_LARGE, pycurl.E_UNSUPPORTED_PROTOCOL}
_BROKEN_LINE = re.compile(r"without colon|nul byte in header", re.IGNORECASE)
BROKEN_HEAD = Drop(Reason.BAD_HTTP, None, "a header line without a colon")
_VERIFICATION = re.compile(r"(?:verify result|certificate problem): (.+?)(?: \(\d+\))?$")
_BAD_FRAMING = re.compile(r"chunk|transfer-encoding", re.IGNORECASE)  # in what curl says of broken chunks


def drop_of(end: End, transfer: Transfer, url: str) -> Drop | None:
    """Why a transfer did not bring what was asked for; None where it did."""
    if transfer.drop is not None:
        return transfer.drop
    if transfer.is_enough:
        return None
    if end.overdue:
        return Drop(Reason.TIMEOUT, None, end.overdue)
    if end.code == pycurl.E_OK:
        return None if transfer.has_status else Drop(Reason.CONNECTION_LOST)
    if end.code in _TLS:
        return Drop(Reason.TLS_FAILED, None, _tls_detail(end.message, URL(url).hostname))
    if end.code == pycurl.E_COULDNT_CONNECT:
        return _connect_drop(end.errno, url)
    if end.code == _WEIRD_SERVER_REPLY and _BROKEN_LINE.search(end.message):
        return BROKEN_HEAD
    if end.code in _NOT_HTTP:
        return Drop(Reason.BAD_HTTP, None, "not an HTTP answer")
    if end.code == pycurl.E_URL_MALFORMAT:
        return Drop(Reason.URL_INVALID, None, url[:200])
    if end.code == pycurl.E_RECV_ERROR and _BAD_FRAMING.search(end.message):
        return Drop(Reason.BAD_HTTP, None, "broken body framing")
    return Drop(Reason.CONNECTION_LOST)


def _tls_detail(message: str, host: str) -> str:
    """OpenSSL's own words, such as "certificate has expired"; they name no address."""
    if "subject name" in message:
        return f"Hostname mismatch, certificate is not valid for '{host}'"
    found = _VERIFICATION.search(message)
    return found[1].rstrip(".") if found else "handshake failed"


def _connect_drop(number: int, url: str) -> Drop:
    literal_v6 = URL(url).hostname.startswith("[")  # unreachable where this machine has no IPv6
    if number in _OUR_NETWORK and not literal_v6:
        return Drop(Reason.LOCAL_NETWORK, None, errno.errorcode[number])
    return Drop(Reason.CONNECT_FAILED, None, errno.errorcode.get(number, ""))
