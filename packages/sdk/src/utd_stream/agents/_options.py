"""How a session behaves. No I/O here."""

from dataclasses import dataclass

from utd_stream._errors import Invalid
from utd_stream._media.frames import AudioInput
from utd_stream._room.encryption import E2EEOptions
from utd_stream._room.room import UTDRoom


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """How a session behaves; change it with `dataclasses.replace`.

    The reference's `SessionOptions`.
    """

    room: UTDRoom | None = None
    """The room to join; None: the session makes one, and its `async with` closes it."""
    encryption: E2EEOptions | None = None
    """End-to-end encryption of the room that the session makes."""
    pre_connect_audio: bool = True
    """Record the microphone from the start on, so that nothing said early is lost."""
    agent_connect_timeout: float = 20.0
    """Seconds for the agent to become ready, when the token brings one."""
    microphone: AudioInput | None = None
    """What the agent hears; None: text only, and nothing is published. Ours."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.room is not None and self.encryption is not None:
            raise ValueError("pass either room or encryption, not both")
        if self.agent_connect_timeout <= 0:
            raise Invalid(
                f"agent_connect_timeout: more than 0 seconds, got {self.agent_connect_timeout}"
            )
