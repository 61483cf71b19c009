"""LiveKit's shape of a permission: its order of sources, and what its words mean to us."""

from collections.abc import Iterable
from typing import Final

from utd_engine.domain.permissions import Permission
from utd_protocol.types import Source

LIVEKIT_ORDER: Final = (
    Source.CAMERA,
    Source.MICROPHONE,
    Source.SCREEN_SHARE,
    Source.SCREEN_SHARE_AUDIO,
)
"""By the numbers 1 to 4 of LiveKit's `TrackSource`, which is by the alphabet too."""


def livekit_sources(permission: Permission) -> list[Source]:
    """The sources to send, always in the same order: to LiveKit another order is a change.

    Raises `ValueError` for a publisher without sources: LiveKit would read that as every source.
    """
    if not permission.can_publish:
        return []
    if not permission.sources:
        raise ValueError("can_publish needs at least one source; set can_publish=False for none.")
    return sorted(permission.sources)


def observed_permission(
    *,
    can_publish: bool,
    sources: Iterable[Source],
    can_subscribe: bool,
    can_publish_data: bool,
    hidden: bool,
) -> Permission:
    """What LiveKit reports, in our form: it equals the permission that was pushed.

    A publisher whom LiveKit reports without sources may publish all of them.
    """
    allowed = (tuple(sources) or LIVEKIT_ORDER) if can_publish else ()
    return Permission(
        can_publish=can_publish,
        sources=tuple(sorted(allowed)),
        can_subscribe=can_subscribe,
        can_publish_data=can_publish_data,
        hidden=hidden,
    )
