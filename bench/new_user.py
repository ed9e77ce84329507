"""The way of a new user, step by step: a table of urls becomes shards, and each step's output is kept to be read.

    mkdir debs && cd debs && apt-get download openclipart-png && dpkg-deb -x openclipart-png*.deb pictures
    python -m bench.new_user debs/pictures [--pictures 1500] [--work /tmp/new_user]

The pictures are any folder's; they are served on loopback under a name a folder. One host forbids everything in its
robots.txt, and every fiftieth url leads nowhere. WORK/walk.md holds what each step printed. Ends by itself.
"""

import argparse
import csv
import http.server
import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import NamedTuple

PAIRMILL = Path(sys.executable).with_name("pairmill")
KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif"}
HOSTS = 12
MIN_BYTES = 2_000  # less is an icon
GONE_EVERY = 50  # urls, of which the last leads nowhere
CONTACT = "web.contact=new-user@example.org"


class Picture(NamedTuple):
    """A file and where it is served."""

    path: Path
    host: str
    caption: str

    @property
    def url(self) -> str:
        return f"http://{self.host}/{self.path.name}"


def pictures_in(folder: Path, most: int) -> list[Picture]:
    """At most `most` pictures of a folder, as many of each folder in it as of any other; the largest HOSTS folders."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in KINDS and path.is_file()]
    by_folder: dict[Path, dict[str, Path]] = {}
    for path in files:
        if path.stat().st_size >= MIN_BYTES and re.fullmatch(r"[\w.-]+", path.name, re.ASCII):
            by_folder.setdefault(path.parent, {})[path.name] = path
    largest = sorted(by_folder, key=lambda each: (-len(by_folder[each]), each))[:HOSTS]
    found = []
    for number, each in enumerate(largest):
        name = re.sub(r"[^a-z]+", "-", each.name.lower()).strip("-") or "pictures"
        of_host = list(by_folder[each].values())[: most // len(largest)]
        found += [Picture(path, f"{name}-{number}.test", caption_of(path)) for path in of_host]
    return found


def caption_of(path: Path) -> str:
    """The words of a file's name, without the numbers at its end."""
    return " ".join(re.sub(r"\d+$", "", path.stem).replace("_", " ").replace("-", " ").split())


def write_table(path: Path, pictures: list[Picture]) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("url", "caption"))
        for number, picture in enumerate(pictures, 1):
            table.writerow((picture.url + ("-gone" if number % GONE_EVERY == 0 else ""), picture.caption))


class Web(http.server.ThreadingHTTPServer):
    """Serves the pictures under their hosts; `asked` counts requests by status, `sent_bytes` their bodies."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, pictures: list[Picture]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {(picture.host, f"/{picture.path.name}"): picture.path for picture in pictures}
        self.closed = pictures[-1].host
        self.asked: Counter[int] = Counter()
        self.sent_bytes = 0
        self.lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    server: Web
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").partition(":")[0]
        path = self.server.files.get((host, self.path))
        if path is not None:
            self.say(200, path.read_bytes(), KINDS[path.suffix.lower()])
        elif self.path == "/robots.txt" and host == self.server.closed:
            self.say(200, b"User-agent: *\nDisallow: /\n", "text/plain")
        else:
            self.say(404, b"", "text/plain")

    def say(self, status: int, body: bytes, kind: str) -> None:
        with self.server.lock:
            self.server.asked[status] += 1
            self.server.sent_bytes += len(body)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """The log is `asked`."""


class Walk:
    """Runs commands in a folder, prints what they say, and keeps it."""

    def __init__(self, work: Path) -> None:
        self._work, self._notes = work, [f"# A new user's way in {work}\n"]

    def step(self, title: str, *words: str | Path, code: int = 0) -> str:
        """What the command printed. Ends the walk where it does not end with `code`."""
        line = shlex.join(map(str, words))
        print(f"--- {title}: pairmill {line}", flush=True)
        done = subprocess.run([PAIRMILL, *words], cwd=self._work, capture_output=True, text=True)
        text = done.stdout + done.stderr
        print(text, flush=True)
        self.note(f"## {title}\n\n    pairmill {line}\n\nexit code {done.returncode}\n\n```\n{text}```\n")
        if done.returncode != code:
            raise SystemExit(f"{title}: exit code {done.returncode}, expected {code}")
        return done.stdout

    def note(self, text: str) -> None:
        self._notes.append(text)
        (self._work / "walk.md").write_text("\n".join(self._notes))


def walk(work: Path, web: Web, pictures: list[Picture]) -> None:
    """All steps, in the order in which a new user would come to them."""
    steps = Walk(work)
    table = ("urls", "--set", "collect.tables.paths=[t.csv]")
    to_us = ("--set", f'web.connect_to={{"*.test:80": "127.0.0.1:{web.server_address[1]}"}}')
    steps.step("plan", "plan", *table)
    steps.step("run without a contact", "run", *table, code=2)
    plan = json.loads(steps.step("plan for programs", "plan", *table, *to_us, "--set", CONTACT, "--json"))
    steps.step("run", "run", *table, *to_us, "--set", CONTACT)
    steps.step("run again", "run", *table, *to_us, "--set", CONTACT)
    status = json.loads(steps.step("status for programs", "status", "runs/urls", "--json"))
    steps.step("status", "status", "runs/urls")
    steps.step("why, of a picture", "why", "runs/urls", pictures[0].url)
    steps.step("why, of what robots.txt forbids", "why", "runs/urls", pictures[-1].url)
    steps.step("why, of what is gone", "why", "runs/urls", f"{pictures[GONE_EVERY - 1].url}-gone")
    steps.step("report", "report", "runs/urls")
    steps.step("validate", "validate", "runs/urls/shards/main")
    fetch = next(row for row in status["stages"] if row["stage"] == "fetch")
    compared = f"""## compare

| | planned | found |
| --- | --- | --- |
| urls | {plan["urls"]:,} | {fetch["counts"]["rows"]:,} |
| requests | {plan["requests"]:,} | {web.asked.total():,} ({dict(web.asked)}) |
| bytes | {plan["transferred_bytes"]:,} | {web.sent_bytes:,} |
| seconds | {plan["seconds"]} | {fetch["duration_s"]:.1f} |
"""
    steps.note(compared)
    print(compared)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with pictures in it or below it")
    parser.add_argument("--pictures", type=int, default=1_500)
    parser.add_argument("--work", type=Path, default=Path("/tmp/new_user"), help="is emptied before")
    args = parser.parse_args()
    pictures = pictures_in(args.folder, args.pictures)
    if len(pictures) < GONE_EVERY:
        parser.error(f"{args.folder}: {len(pictures)} pictures of {MIN_BYTES:,} bytes or more; give a folder with more")
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    write_table(args.work / "t.csv", pictures)
    with Web(pictures) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        try:
            walk(args.work, web, pictures)
        finally:
            web.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
