#!/bin/bash
# Pack this machine's environment for a YARN cluster whose machines have no pairmill; Python 3.11 must be there.
#   bash deploy/spark/pack-env.sh .venv env.tar.gz
#   pairmill run CONFIG --engine spark-submit --set engine.spark.master=yarn \
#     --set engine.spark.properties.spark.yarn.dist.archives=env.tar.gz#env --set engine.spark.worker=env/bin/worker
set -euo pipefail
env=${1:?the folder of a virtual environment} out=${2:?the archive to write}
# The scripts of an environment name the folder in which it was made; this one finds its own.
cat > "$env/bin/worker" <<'WORKER'
#!/bin/sh
here=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$(echo "$here"/lib/python3*/site-packages)"
exec python3.11 -m pipeline.engines.workers.main "$@"
WORKER
chmod +x "$env/bin/worker"
tar -czf "$out" -C "$env" .
