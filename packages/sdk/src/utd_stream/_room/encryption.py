"""End-to-end encryption: the key that all participants of a room share. No I/O here."""

from dataclasses import dataclass, field
from typing import Self

from utd_stream._errors import Invalid


@dataclass(frozen=True, slots=True)
class E2EEOptions:
    """Encrypt sound, pictures and data from end to end, with AES-GCM. Made by `shared_key`."""

    key: bytes = field(repr=False)
    """A secret."""

    @classmethod
    def shared_key(cls, key: str | bytes) -> Self:
        """Everybody in the room has this key, which never goes to a server."""
        if not key:
            raise Invalid("key: an encryption key is needed, got an empty one")
        return cls(key.encode() if isinstance(key, str) else key)
