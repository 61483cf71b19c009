"""What can go wrong between a user and an agent. No I/O here."""

from enum import StrEnum
from typing import Final, Self

from utd_stream._errors import ConnectError, UTDStreamException, scrub


class SessionErrorKind(StrEnum):
    """Which part of a session failed."""

    CONNECTION = "connection"
    SENDER = "sender"
    RECEIVER = "receiver"


class AgentFailure(StrEnum):
    """Why there is no agent to talk to."""

    TIMEOUT = "timeout"
    """It was not ready to talk in time."""
    LEFT = "left"
    """It was there and is gone."""


_FAILED: Final = {
    SessionErrorKind.CONNECTION: "Connection failed",
    SessionErrorKind.SENDER: "Message sender failed",
    SessionErrorKind.RECEIVER: "Message receiver failed",
}


class SessionError(UTDStreamException):
    """What `Session.error` holds. Two are equal when kind and cause are.

    The reference's `SessionError`.
    """

    def __init__(self, kind: SessionErrorKind, cause: Exception) -> None:
        """Made by one of the three factories."""
        known = cause if isinstance(cause, UTDStreamException) else None
        super().__init__(
            f"{_FAILED[kind]}: {known.message if known else str(cause) or type(cause).__name__}",
            status_code=known.status_code if known else None,
            code=known.code if known else None,
            request_id=known.request_id if known else None,
            retry_after=known.retry_after if known else None,
        )
        self.kind = kind
        self.cause = cause
        self.__cause__ = cause

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SessionError):
            return NotImplemented
        return (self.kind, self.cause) == (other.kind, other.cause)

    def __hash__(self) -> int:
        return hash((self.kind, self.cause))

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later without any other change."""
        return isinstance(self.cause, UTDStreamException) and self.cause.retryable

    @classmethod
    def connection(cls, cause: Exception) -> Self:
        """The token, the join or the microphone failed."""
        return cls(SessionErrorKind.CONNECTION, cause)

    @classmethod
    def sender(cls, cause: Exception) -> Self:
        """A message could not be sent."""
        return cls(SessionErrorKind.SENDER, cause)

    @classmethod
    def receiver(cls, cause: Exception) -> Self:
        """A message could not be received as a whole."""
        return cls(SessionErrorKind.RECEIVER, cause)


class AgentFailed(UTDStreamException):
    """There is no agent to wait for: raised by `Session.wait_agent`."""

    def __init__(self, failure: AgentFailure | None, message: str) -> None:
        """Keep why: None when the room went first, or was never joined."""
        super().__init__(message)
        self.failure = failure


class NotConnected(ConnectError):
    """A message was to be sent while the room was not joined."""


class TokenSourceError(UTDStreamException):
    """A token source could not give a token."""


class TokenSourceHTTPError(TokenSourceError):
    """A token endpoint answered with something else than success."""

    def __init__(self, uri: str, status_code: int, body: str) -> None:
        """Keep what was asked and what was answered."""
        super().__init__(f"{uri} answered {status_code}: {body}", status_code=status_code)
        self.uri = uri
        self.body = scrub(body)
