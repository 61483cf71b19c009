"""What the demo shows while it runs: seats, who speaks, how loud each is heard, what happens.

On a terminal it is one picture that changes; elsewhere the steps are lines.
"""

import time
from collections.abc import Mapping
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from utd_cli.demos.orders import Level, News, Seats, Speakers
from utd_cli.demos.sound import AUDIBLE_DBFS

BAR_CHARS: Final = 30
QUIETEST_DBFS: Final = -60.0
STEPS_SHOWN: Final = 15


class Stage:
    """The picture. `people` are shown in this order, with what each one is, and their `place`."""

    def __init__(self, console: Console, people: Mapping[str, str], place: str = "seat") -> None:
        self._console = console
        self._people = people
        self._place = place
        self._seats: tuple[str | None, ...] = ()
        self._speakers: tuple[str, ...] = ()
        self._levels: dict[tuple[str, str], float] = {}
        self._steps: list[Text] = []
        self._started = time.monotonic()
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=10)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def step(self, text: str, style: str = "") -> None:
        """Something happened."""
        line = Text(f"{time.monotonic() - self._started:5.1f} s  ", "dim").append(text, style)
        self._steps.append(line)
        if not self._console.is_terminal:
            self._console.print(line)

    def news(self, reporter: str, news: News) -> None:
        """A client reports."""
        match news:
            case Seats(occupants=occupants):
                self._seats = occupants
            case Speakers(identities=identities):
                self._speakers = identities
            case Level(who=who, dbfs=dbfs):
                self._levels[reporter, who] = dbfs

    def _render(self) -> RenderableType:
        table = Table("", "who", self._place, "speaks", "as the others hear it", box=None)
        table.min_width = 70
        for name, part in self._people.items():
            table.add_row(
                Text(part, "dim"),
                Text(name, "bold"),
                str(self._seats.index(name)) if name in self._seats else "-",
                Text("yes", "green") if name in self._speakers else "",
                self._bar(name),
            )
        return Group(table, Text(), *self._steps[-STEPS_SHOWN:])

    def _bar(self, who: str) -> Text:
        heard = [dbfs for (_, whom), dbfs in self._levels.items() if whom == who]
        level = max(QUIETEST_DBFS, *heard, QUIETEST_DBFS)
        filled = round(BAR_CHARS * (1 - level / QUIETEST_DBFS))
        bar = Text("#" * filled, "green" if level > AUDIBLE_DBFS else "dim")
        bar.append("." * (BAR_CHARS - filled), "dim")
        return bar.append(f" {level:4.0f} dBFS", "dim")
