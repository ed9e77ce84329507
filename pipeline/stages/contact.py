"""Whoever asks foreign hosts says who it is."""

from filters.url import host_of
from pipeline.errors import UsageError
from transforms.web.settings import WebSettings


def check_contact(url: str, web: WebSettings) -> None:
    """Raises UsageError where a foreign host would be asked by nobody in particular."""
    if not web.contact and not web.is_local(url):
        raise UsageError(
            f"web.contact is empty, and {host_of(url)} is not on this machine: site owners must be able to reach you; "
            "set web.contact to an e-mail address or a page, for example --set web.contact=you@example.org"
        )
