"""The certificate authorities that are trusted, in one file for curl: the system's, certifi's, the configuration's."""

import atexit
import glob
import os
import ssl
import tempfile
from functools import cache
from pathlib import Path

import certifi


def authorities(ca_file: str = "") -> str:
    """The path of a PEM file with all of them, made once a process; it goes with the process.

    One file, because curl keeps its parsed content from connection to connection; reading it takes 30 ms. Small
    containers have no store of the system's, so certifi's is always there. Raises OSError where `ca_file` cannot be
    read or holds no certificate.
    """
    return _joined(Path(ca_file).read_text("latin-1") if ca_file else "")


@cache
def _joined(more: str) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    for path in _of_the_system():
        _load_what_can_be_read(context, path)
    if more:
        context.load_verify_locations(cadata=more)
    pem = "".join(ssl.DER_cert_to_PEM_cert(der) for der in context.get_ca_certs(binary_form=True))
    with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
        file.write(pem)
    atexit.register(os.unlink, file.name)
    return file.name


def _of_the_system() -> list[str]:
    paths = ssl.get_default_verify_paths()
    folder = sorted(glob.glob(os.path.join(paths.capath, "*"))) if paths.capath else []
    return [path for path in (paths.cafile, *folder) if path and os.path.isfile(path)]


def _load_what_can_be_read(context: ssl.SSLContext, path: str) -> None:
    """A folder of certificates holds other files too."""
    try:
        context.load_verify_locations(path)
    except OSError:  # SSLError is one
        return
