#!/usr/bin/env bash
# Two real documentation sites through the whole way: debian-handbook (26 languages) and python-skimage-doc, as Debian
# packages them, served by nginx on loopback as two hosts. Writes bench/results/sites.json; ends by itself.
set -euo pipefail
cd "$(dirname "$0")/../.."
RUN=${RUN:-runs/sites}
if ! command -v nginx >/dev/null || [ ! -d /usr/share/doc/debian-handbook/html ] || [ ! -d /usr/share/doc/python-skimage-doc/html ]; then
  apt-get update -qq
  apt-get install -y -qq debian-handbook python-skimage-doc nginx-light
fi
WORK=$(mktemp -d)
chmod 755 "$WORK"
NGINX=
trap '[ -z "$NGINX" ] || kill "$NGINX"; rm -rf "$WORK"' EXIT
PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
sed "s#@PORT@#$PORT#g; s#@WORK@#$WORK#g" bench/sites/nginx.conf.in >"$WORK/nginx.conf"
# An index page of all languages: each one's own index links to its chapters alone.
mkdir "$WORK/start"
for page in /usr/share/doc/debian-handbook/html/*/index.html; do
  language=$(basename "$(dirname "$page")")
  echo "<a href=\"http://handbook.test/$language/index.html\">$language</a>"
done >"$WORK/start/index.html"
nginx -c "$WORK/nginx.conf" -g 'daemon off;' &
NGINX=$!
for _ in $(seq 50); do curl -s -o /dev/null "http://127.0.0.1:$PORT/" && break || sleep 0.1; done
.venv/bin/python bench/sites/measure.py "$RUN" "$PORT"
