"""Is a concurrent history explained by some order of its calls? (Wing and Gong, with Lowe's memory)

A call takes effect at one moment between its begin and its end. One whose answer was lost may take
effect at any later moment, or never.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple


class Lost:
    """The result of a call whose answer never came."""


LOST = Lost()
NEVER = float("inf")


class Op(NamedTuple):
    """One call: who, what, from when until when, and what was answered."""

    client: str
    call: Any
    began: float
    ended: float
    result: Any


Model = Callable[[Any, Op], tuple[Any, Any]]
"""State and call to the state after it and its result. States are hashable."""


def linearizable(history: Sequence[Op], model: Model, start: Hashable) -> bool:
    """Whether the model, given the calls one at a time in some order, answers the same."""
    ops = [op._replace(ended=NEVER) if op.result is LOST else op for op in history]
    ops.sort(key=lambda op: op.began)
    must = sum(1 << number for number, op in enumerate(ops) if op.result is not LOST)
    seen: set[tuple[int, Hashable]] = set()
    waiting: list[tuple[int, Any]] = [(0, start)]
    while waiting:
        done, state = waiting.pop()
        if done & must == must:
            return True
        left = [number for number in range(len(ops)) if not done >> number & 1]
        first_end = min(ops[number].ended for number in left)
        for number in reversed(left):
            op = ops[number]
            if op.began > first_end:
                continue  # something had ended before this began, so it comes first
            after, result = model(state, op)
            if op.result is not LOST and op.result != result:
                continue
            now = (done | 1 << number, after)
            if now not in seen:
                seen.add(now)
                waiting.append(now)
    return False
