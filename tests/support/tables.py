"""Tables of outcomes that are checked in as text and read as a difference."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from utd_engine.domain.refusal import Refused


def outcome(act: Callable[[], Any]) -> str:
    """`ok`, or the code of the refusal."""
    try:
        act()
    except Refused as refusal:
        return refusal.code
    return "ok"


def columns(table: Iterable[Sequence[str]]) -> str:
    """The rows as text, each column as wide as its longest cell."""
    rows = [list(row) for row in table]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(lines) + "\n"
