"""Start of a worker container: `entry.py BOOT --id=ID --provision_endpoint=HOST:PORT ...`.

Looks at what driver and worker must agree on, as `pairmill-worker` does on a cluster, then becomes Beam's own boot
program, which knows how many worker processes Dataflow wants. A worker of another version ends with a line in the
job's worker-startup log.
"""

import os
import sys
from collections.abc import Sequence

from pipeline.engines.workers.main import check_contract, parser, provision


def main(words: Sequence[str]) -> None:
    args = parser().parse_known_args(words[1:])[0]
    environment = dict(os.environ)  # boot sets for its workers what provision() sets for this process
    if args.provision_endpoint:
        check_contract(provision(args.id, args.provision_endpoint))
    os.execve(words[0], list(words), environment)


if __name__ == "__main__":
    main(sys.argv[1:])
