"""Runs a floor and its subjects in turn, prints their ratios, and says whether a goal was missed.

A bench is one file a goal. It names cases (functions that work for a window of seconds and return
what one operation cost: seconds of CPU or of waiting, or bytes) and goals (a ratio between two
costs), and ends with `sys.exit(run("p5_sqlite", cases, goals))`.

All cases run once a round, so a busy neighbour hits them alike; the cheapest round of each counts.
Only ratios are judged. Each round is one JSON line in `results/<name>.jsonl`, and the verdict of
the newest run is `results/<name>.verdict.json`.
"""

import argparse
import json
import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeAlias

Case: TypeAlias = Callable[[float], float | Mapping[str, float]]
"""Work for about this many seconds; the cost of one operation, or several costs by their names."""

RESULTS = Path(__file__).parent / "results"
RESULTS.mkdir(exist_ok=True)  # benches keep their databases in it too, on the disk of the tree


class Goal(NamedTuple):
    """`subject` has at least `least` times the rate of `floor`, or at most `most` times its cost.

    With neither the ratio of their rates is only reported, with infinity that of their costs.
    `held` is a weaker ratio that holds today, where the goal itself is not reached: a bench fails
    below it, and says "not yet" between the two.
    """

    subject: str
    floor: str
    least: float | None = None
    most: float | None = None
    held: float | None = None

    def ratio(self, costs: Mapping[str, float]) -> float:
        """How many times the floor's cost the subject has, or its rate where that is the goal."""
        subject, floor = costs[self.subject], costs[self.floor]
        return floor / subject if self.most is None else subject / floor

    def is_met(self, ratio: float) -> bool | None:
        """Whether that is the goal; None where nothing is asked."""
        if self.most is not None:
            return None if math.isinf(self.most) else ratio <= self.most
        return None if self.least is None else ratio >= self.least

    def is_held(self, ratio: float) -> bool:
        """Whether it is at least no step backwards."""
        if self.held is None:
            return self.is_met(ratio) is not False
        return ratio >= self.held if self.most is None else ratio <= self.held

    @property
    def bound(self) -> str:
        """The goal in a few characters."""
        if self.most is not None and not math.isinf(self.most):
            return f"<= {self.most:.2f}"
        return "-" if self.least is None else f">= {self.least:.2f}"


class Verdict(NamedTuple):
    """What came of one goal."""

    goal: Goal
    floor: str
    subject: str
    ratio: float
    middle: float

    @property
    def is_met(self) -> bool | None:
        """As its goal says."""
        return self.goal.is_met(self.ratio)

    def row(self, bench: str) -> dict[str, str]:
        """For tables."""
        met, held = self.is_met, self.goal.is_held(self.ratio)
        return {
            "bench": bench,
            "goal": f"{self.goal.subject} / {self.goal.floor} {self.goal.bound}",
            "floor": self.floor,
            "subject": self.subject,
            "ratio": f"{self.ratio:.2f}",
            "median": f"{self.middle:.2f}",
            "met": "" if met is None else "yes" if met else "not yet" if held else "MISSED",
        }


def run(
    name: str,
    cases: Mapping[str, Case],
    goals: Sequence[Goal],
    *,
    rounds: int = 5,
    unit: str = "s",
    arguments: Sequence[str] | None = None,
    **facts: object,
) -> int:
    """Run all rounds and report; 1 if a goal was missed. `facts` go into every JSON line."""
    parser = argparse.ArgumentParser(description=f"Goal {name}: ratios inside one run.")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--window", type=float, default=1.0, help="seconds a case and round")
    options = parser.parse_args(arguments)
    facts = {"python": platform.python_version(), "cores": os.cpu_count(), **facts}
    measured: list[dict[str, float]] = []
    with (RESULTS / f"{name}.jsonl").open("a", encoding="utf-8") as lines:
        for number in range(options.rounds):
            costs = _costs(cases, options.window)
            measured.append(costs)
            ratios = {f"{goal.subject}/{goal.floor}": goal.ratio(costs) for goal in goals}
            line = {"bench": name, "at": datetime.now(UTC).isoformat(), "round": number}
            line |= {f"cost_{unit}": costs, "ratio": ratios, **facts}
            print(json.dumps(line), file=lines, flush=True)
    print("  ".join(f"{key} {value}" for key, value in facts.items()))
    return _report(name, measured, goals, unit)


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows below the names of their columns."""
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ((cell.ljust(width) for cell, width in zip(line, widths, strict=True))
              for line in lines)  # fmt: skip
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def _costs(cases: Mapping[str, Case], window: float) -> dict[str, float]:
    costs: dict[str, float] = {}
    for case, work in cases.items():
        cost = work(window)
        costs |= {case: cost} if isinstance(cost, float) else cost
    return costs


def _report(
    name: str, rounds: Sequence[Mapping[str, float]], goals: Sequence[Goal], unit: str
) -> int:
    best = {case: min(costs[case] for costs in rounds) for case in rounds[0]}
    for case, cost in best.items():
        print(f"  {case:<40} {_shown(cost, unit):>12}")
    verdicts = [_verdict(goal, best, rounds, unit) for goal in goals]
    rows = [verdict.row(name) for verdict in verdicts]
    (RESULTS / f"{name}.verdict.json").write_text(json.dumps(rows), encoding="utf-8")
    print(table([{key: row[key] for key in row if key != "bench"} for row in rows]))
    return int(not all(verdict.goal.is_held(verdict.ratio) for verdict in verdicts))


def _verdict(
    goal: Goal, best: Mapping[str, float], rounds: Sequence[Mapping[str, float]], unit: str
) -> Verdict:
    return Verdict(
        goal,
        _shown(best[goal.floor], unit),
        _shown(best[goal.subject], unit),
        goal.ratio(best),
        median(goal.ratio(costs) for costs in rounds),
    )


def _shown(cost: float, unit: str) -> str:
    if unit == "B":
        return f"{cost / 1024:,.1f} KiB"
    return f"{cost * 1e3:,.2f} ms" if cost >= 0.001 else f"{cost * 1e6:,.1f} µs"
