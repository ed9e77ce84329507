"""nginx on loopback under many addresses, with a certificate of an authority of the bench's own."""

import contextlib
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bench.fetch.corpus import HOSTS, host

PORTS = {("http", False): 18080, ("https", False): 18443, ("http", True): 18081, ("https", True): 18444}
BOTS = "User-agent: *\nDisallow: /private/\n"


class Web(NamedTuple):
    """A server that runs."""

    ca_file: Path

    def port(self, scheme: str, keep: bool = False) -> int:
        return PORTS[scheme, keep]


@contextlib.contextmanager
def serving(folder: Path, pictures: Path) -> Iterator[Web]:
    """`pictures` at every address, whatever the folder that a path begins with; half of the ports keep connections."""
    nginx = shutil.which("nginx")
    if nginx is None:
        raise SystemExit("the bench needs nginx (Debian: apt-get install nginx-light)")
    folder.mkdir(parents=True)
    ca_file = write_certificates(folder)
    (folder / "robots.txt").write_text(BOTS)
    (folder / "nginx.conf").write_text(configuration(folder, pictures))
    process = subprocess.Popen([nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"])
    try:
        wait_for(f"https://{host(HOSTS - 1)}:{PORTS['https', True]}/robots.txt", ca_file)
        yield Web(ca_file)
    finally:
        process.terminate()
        process.wait()


def configuration(folder: Path, pictures: Path) -> str:
    servers = "\n".join(server(scheme, keep, folder, pictures) for scheme, keep in PORTS)
    return f"""daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream; types {{ image/jpeg jpg; }}
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e; open_file_cache max=2000;
{servers}
}}
"""


def server(scheme: str, keep: bool, folder: Path, pictures: Path) -> str:
    secure = " ssl" if scheme == "https" else ""
    listens = "\n".join(f"    listen {host(n)}:{PORTS[scheme, keep]}{secure} backlog=1024;" for n in range(HOSTS))
    keys = f"ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;" if secure else ""
    return f"""  server {{
{listens}
    {keys} keepalive_timeout {75 if keep else 0};
    location = /robots.txt {{ root {folder}; }}
    location ~ ^/[0-9]+/(?<name>.*)$ {{ alias {pictures}/$name; }}
    location / {{ return 404; }}
  }}"""


def write_certificates(folder: Path) -> Path:
    """An authority, and a certificate of it for all addresses; the authority's file."""
    authority_key, authority = certificate("bench authority", None, None)
    key, leaf = certificate("bench server", authority_key, authority)
    (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "server.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    return folder / "ca.pem"


def certificate(name: str, issuer_key: rsa.RSAPrivateKey | None, issuer: x509.Certificate | None):
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    addresses = [x509.IPAddress(ip_address(host(n))) for n in range(HOSTS)]
    built = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
    )
    return key, built.sign(issuer_key or key, hashes.SHA256())


def wait_for(url: str, ca_file: Path) -> None:
    context = ssl.create_default_context(cafile=str(ca_file))
    end = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5, context=context):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
