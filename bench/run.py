"""Runs every bench as a program of its own, and prints one table. Ends with 1 if a goal was missed.

`run.py --only P5` runs those whose file begins with `p5`; anything after `--` goes to the benches.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rounds import RESULTS, table

HERE = Path(__file__).parent


def benches(only: Sequence[str]) -> list[Path]:
    """The files to run, in the order of their goals."""
    found = [*HERE.glob("p[0-9]*_*.py"), *HERE.glob("latency_*.py")]
    wanted = tuple(name.lower() for name in only)
    chosen = [one for one in found if not wanted or one.stem.split("_")[0] in wanted]
    return sorted(chosen, key=lambda one: (one.stem[0] != "p", len(one.stem.split("_")[0]), one))


def run_one(bench: Path, arguments: Sequence[str]) -> tuple[list[dict[str, str]], bool]:
    """Its rows of the table, and whether it went well."""
    print(f"== {bench.stem}", flush=True)
    verdict = RESULTS / f"{bench.stem}.verdict.json"
    verdict.unlink(missing_ok=True)
    done = subprocess.run([sys.executable, str(bench), *arguments], check=False)
    rows = json.loads(verdict.read_text(encoding="utf-8")) if verdict.exists() else []
    return rows or [_broken(bench)], done.returncode == 0


def _broken(bench: Path) -> dict[str, str]:
    row = dict.fromkeys(("bench", "goal", "floor", "subject", "ratio", "median", "met"), "")
    return row | {"bench": bench.stem, "goal": "did not come to its end", "met": "MISSED"}


def main() -> int:
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="GOAL", help="such as P5")
    parser.add_argument("arguments", nargs="*", help="for the benches, such as --rounds 3")
    options = parser.parse_args()
    chosen = benches(options.only)
    if not chosen:
        parser.error(f"no bench is called {', '.join(options.only)}")
    began = time.monotonic()
    done = [run_one(bench, options.arguments) for bench in chosen]
    print()
    print(table([row for rows, _ in done for row in rows]))
    print(f"{time.monotonic() - began:.0f} s")
    return int(not all(went_well for _, went_well in done))


if __name__ == "__main__":
    sys.exit(main())
