"""For programs that use the SDK and want to be tested without a server: no sockets in here.

Give `FakeLiveKit().open_link` to a `UTDRoom` or a client, and let the fake server act.
"""

from utd_stream._exports import show_as_ours
from utd_stream.testing._livekit import (
    EVERYTHING,
    Admit,
    FakeLiveKit,
    FakeRoom,
    Faults,
    Grant,
    Member,
)
from utd_stream.testing._streams import FakeStream

__all__ = [
    "EVERYTHING",
    "Admit",
    "FakeLiveKit",
    "FakeRoom",
    "FakeStream",
    "Faults",
    "Grant",
    "Member",
]

show_as_ours(globals(), __all__)
