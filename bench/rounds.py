"""Runs a floor and its subjects in turn, prints their ratios, and says whether a goal was missed.

A bench is one file a goal. It names cases (functions that work for a window of seconds and return
what one operation cost, in seconds of CPU or of waiting) and goals (a ratio between two cases), and
ends with `sys.exit(run("p5_sqlite", cases, goals))`.

All cases run once a round, so a busy neighbour hits them alike; the cheapest round of each counts.
Only ratios are judged. Each round is one JSON line in `.benchmarks/<name>.jsonl`.
"""

import argparse
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeAlias

Case: TypeAlias = Callable[[float], float]
"""Work for about this many seconds; the seconds that one operation cost."""

RESULTS = Path(".benchmarks")


class Goal(NamedTuple):
    """`subject` reaches at least `least` times the rate of `floor`; None only reports."""

    subject: str
    floor: str
    least: float | None

    def ratio(self, costs: Mapping[str, float]) -> float:
        """How many times the floor's rate the subject has."""
        return costs[self.floor] / costs[self.subject]


def run(name: str, cases: Mapping[str, Case], goals: Sequence[Goal], **facts: object) -> int:
    """Run all rounds and report; 1 if a goal was missed. `facts` go into every JSON line."""
    parser = argparse.ArgumentParser(description=f"Goal {name}: ratios inside one run.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=float, default=1.0, help="seconds a case and round")
    options = parser.parse_args()
    facts = {"python": platform.python_version(), "cores": os.cpu_count(), **facts}
    RESULTS.mkdir(exist_ok=True)
    rounds: list[dict[str, float]] = []
    with (RESULTS / f"{name}.jsonl").open("a", encoding="utf-8") as lines:
        for number in range(options.rounds):
            costs = {case: work(options.window) for case, work in cases.items()}
            rounds.append(costs)
            ratios = {f"{goal.subject}/{goal.floor}": goal.ratio(costs) for goal in goals}
            line = {"bench": name, "round": number, "cost_s": costs, "ratio": ratios, **facts}
            print(json.dumps(line), file=lines, flush=True)
    return _report(rounds, goals, facts)


def _report(
    rounds: Sequence[Mapping[str, float]], goals: Sequence[Goal], facts: Mapping[str, object]
) -> int:
    best = {case: min(costs[case] for costs in rounds) for case in rounds[0]}
    print("  ".join(f"{name} {value}" for name, value in facts.items()))
    for case, cost in best.items():
        print(f"{case:<36} {1 / cost:>10,.0f} /s {cost * 1e6:>10,.1f} µs")
    missed = 0
    for goal in goals:
        ratio, middle = goal.ratio(best), median(goal.ratio(costs) for costs in rounds)
        verdict = "" if goal.least is None else f"goal {goal.least:.2f}x "
        if goal.least is not None:
            verdict += "met" if ratio >= goal.least else "MISSED"
            missed += ratio < goal.least
        print(f"{goal.subject} / {goal.floor}: {ratio:.2f}x (median {middle:.2f}x) {verdict}")
    return int(missed > 0)
