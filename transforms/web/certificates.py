"""The certificate authorities that are trusted: the system's, or certifi's, and those of the configuration."""

import atexit
import os
import ssl
import tempfile
from functools import cache
from pathlib import Path

import certifi

from transforms import storage

# Where distributions keep theirs; Python's own OpenSSL may be built for another place.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def authorities(ca_file: str = "") -> str:
    """The path of a PEM file with all of them. One file: curl keeps its content; reading a folder costs 30 ms a time.

    Small containers have no store of the system's: then it is certifi's. Raises OSError where `ca_file` cannot be read
    or holds no certificate, StorageError where there is no room for a joined file.
    """
    found = (ssl.get_default_verify_paths().cafile, *_BUNDLES)
    bundle = next((path for path in found if path and os.path.isfile(path)), certifi.where())
    return _joined(bundle, Path(ca_file).read_text("latin-1")) if ca_file else bundle


@cache
def _joined(bundle: str, more: str) -> str:
    """A file that goes with this process."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=more)
    with storage.scratch_errors(), tempfile.NamedTemporaryFile("wb", suffix=".pem", delete=False) as file:
        atexit.register(os.unlink, file.name)
        file.write(Path(bundle).read_bytes() + b"\n" + more.encode("latin-1"))
    return file.name
