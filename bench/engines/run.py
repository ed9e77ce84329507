"""`make bench-engines`: what the engines cost, into bench/results/engines.json. Needs the machine alone.

    python -m bench.engines.run [--only beam,parallel,spark,select] [--stages fetch] [--scale 1.0]

Ends by itself. Parts and stages that are not asked for keep the figures that they have.
"""

import argparse
import json
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

RESULTS = Path("bench/results/engines.json")
PARTS = ("beam", "parallel", "spark", "select")
STAGES = ("read", "fetch", "score", "pack", "merge", "select")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--stages", default=",".join(STAGES), help=f"of the part beam: some of {','.join(STAGES)}")
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes; 0.02 tries the program out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    chosen, stages = arguments.only.split(","), arguments.stages.split(",")
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"--only {unknown.pop()}: the parts are {', '.join(PARTS)}")
    if unknown := set(stages) - set(STAGES):
        parser.error(f"--stages {unknown.pop()}: the stages are {', '.join(STAGES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    for part in chosen:
        with tempfile.TemporaryDirectory(prefix="pairmill-bench-") as folder:
            figures = measure_of(part, stages)(Path(folder), arguments.scale)
        write(arguments.out, part, figures, arguments.scale)
    print(arguments.out.read_text())
    return 0


def measure_of(part: str, stages: Sequence[str]) -> Callable[[Path, float], dict[str, Any]]:
    """Imported when it is its turn: each part brings much along."""
    if part == "beam":
        from bench.engines.beam_cost import beam_costs

        return partial(beam_costs, chosen=stages)
    if part == "parallel":
        from bench.engines.parallel import parallel_ratios

        return parallel_ratios
    from bench.engines import on_spark

    return on_spark.demo_costs if part == "spark" else on_spark.large_select


def write(out: Path, part: str, figures: dict[str, Any], scale: float) -> None:
    """Add a part's figures, and how they came about, to what is known.

    `measured` says how each part was measured; a stage that was measured alone has an entry of its own, `beam.fetch`.
    """
    from bench.engines.measure import machine
    from pipeline.manifest import versions

    known = json.loads(out.read_text()) if out.exists() else {}
    command = shlex.join([os.path.basename(sys.executable), "-m", "bench.engines.run", *sys.argv[1:]])
    stages = list(figures.get("beam_seconds", {}))
    measured = [part] if not stages or stages == list(STAGES) else [f"{part}.{stage}" for stage in stages]
    how = {"command": command, "scale": scale} | machine()
    known = merged(known, figures | {"measured": dict.fromkeys(measured, how), "versions": versions()})
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(known, indent=2) + "\n")


def merged(known: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Figures in `new` take the place of those in `known`, figure by figure."""
    both = {key: merged(known[key], new[key]) for key in known.keys() & new.keys() if isinstance(new[key], dict)}
    return known | new | both


if __name__ == "__main__":
    raise SystemExit(main())
