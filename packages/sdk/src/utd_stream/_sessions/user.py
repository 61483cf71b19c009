"""The user who is signed in with a client, and what they have beside rooms."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from utd_stream._engine.bearer import Bearer
from utd_stream._engine.calls import Calls
from utd_stream._engine.inbox import Inbox


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One identity on one device."""

    identity: str
    device_id: str
    bearer: Bearer
    calls: Calls
    inbox: Inbox


Who: TypeAlias = Callable[[], User]
"""Tells who is signed in now; raises `NotAuthenticated` when nobody is."""
