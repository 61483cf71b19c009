"""Inboxes: the log of one user, and who waits for news of it in this process."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from utd_engine.app.commits import Commit
from utd_engine.ports.rooms import Key


class Waiters:
    """Who waits for news of an inbox in this process. A lost wake-up costs a poll, no event."""

    def __init__(self) -> None:
        self._waiting: dict[Key, set[asyncio.Event]] = {}

    @contextmanager
    def waiting(self, inbox: Key) -> Generator[asyncio.Event]:
        """An event that is set whenever something new is in the inbox."""
        news = asyncio.Event()
        self._waiting.setdefault(inbox, set()).add(news)
        try:
            yield news
        finally:
            rest = self._waiting[inbox]
            rest.discard(news)
            if not rest:
                del self._waiting[inbox]

    def committed(self, commit: Commit) -> None:
        """Wake whoever waits for a letter that is now durable."""
        for identity in commit.recipients:
            for news in self._waiting.get(inbox_key(commit.key.app, identity), ()):
                news.set()


def inbox_key(app: str, identity: str) -> Key:
    """The log of one user."""
    return Key(app, "inbox", identity)
