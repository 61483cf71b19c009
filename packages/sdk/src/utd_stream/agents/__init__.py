"""A user in a room with an AI agent: LiveKit's `Session`, headless, for any LiveKit.

Everything is imported from here; the modules below are private.
"""

from utd_stream._errors import EncryptionError as EncryptionError
from utd_stream._exports import show_as_ours as _show_as_ours
from utd_stream._room.encryption import E2EEOptions as E2EEOptions
from utd_stream.agents._agent import Agent as Agent
from utd_stream.agents._agent import AgentState as AgentState
from utd_stream.agents._cache import CachingTokenSource as CachingTokenSource
from utd_stream.agents._cache import InMemoryTokenStore as InMemoryTokenStore
from utd_stream.agents._cache import TokenStore as TokenStore
from utd_stream.agents._cache import TokenStoreItem as TokenStoreItem
from utd_stream.agents._cache import TokenValidator as TokenValidator
from utd_stream.agents._errors import AgentFailed as AgentFailed
from utd_stream.agents._errors import AgentFailure as AgentFailure
from utd_stream.agents._errors import NotConnected as NotConnected
from utd_stream.agents._errors import SessionError as SessionError
from utd_stream.agents._errors import SessionErrorKind as SessionErrorKind
from utd_stream.agents._errors import TokenSourceError as TokenSourceError
from utd_stream.agents._errors import TokenSourceHTTPError as TokenSourceHTTPError
from utd_stream.agents._jwt import LiveKitJwtPayload as LiveKitJwtPayload
from utd_stream.agents._jwt import RoomAgentDispatch as RoomAgentDispatch
from utd_stream.agents._jwt import RoomConfiguration as RoomConfiguration
from utd_stream.agents._jwt import VideoGrants as VideoGrants
from utd_stream.agents._messages import AgentTranscript as AgentTranscript
from utd_stream.agents._messages import MessageContent as MessageContent
from utd_stream.agents._messages import MessageReceiver as MessageReceiver
from utd_stream.agents._messages import MessageSender as MessageSender
from utd_stream.agents._messages import OnError as OnError
from utd_stream.agents._messages import OnMessage as OnMessage
from utd_stream.agents._messages import ReceivedMessage as ReceivedMessage
from utd_stream.agents._messages import SentMessage as SentMessage
from utd_stream.agents._messages import SentUserInput as SentUserInput
from utd_stream.agents._messages import Unsubscribe as Unsubscribe
from utd_stream.agents._messages import UserInput as UserInput
from utd_stream.agents._messages import UserTranscript as UserTranscript
from utd_stream.agents._notifier import ChangeNotifier as ChangeNotifier
from utd_stream.agents._options import SessionOptions as SessionOptions
from utd_stream.agents._session import Receivers as Receivers
from utd_stream.agents._session import Senders as Senders
from utd_stream.agents._session import Session as Session
from utd_stream.agents._text import TextMessageSender as TextMessageSender
from utd_stream.agents._tokens import CustomTokenSource as CustomTokenSource
from utd_stream.agents._tokens import DevelopmentTokenSource as DevelopmentTokenSource
from utd_stream.agents._tokens import EndpointTokenSource as EndpointTokenSource
from utd_stream.agents._tokens import LiteralTokenSource as LiteralTokenSource
from utd_stream.agents._tokens import SandboxTokenSource as SandboxTokenSource
from utd_stream.agents._tokens import TokenRequestOptions as TokenRequestOptions
from utd_stream.agents._tokens import TokenSourceConfigurable as TokenSourceConfigurable
from utd_stream.agents._tokens import TokenSourceFixed as TokenSourceFixed
from utd_stream.agents._tokens import TokenSourceResponse as TokenSourceResponse
from utd_stream.agents._transcripts import (
    TranscriptionStreamReceiver as TranscriptionStreamReceiver,
)

__all__ = [
    "Agent",
    "AgentFailed",
    "AgentFailure",
    "AgentState",
    "AgentTranscript",
    "CachingTokenSource",
    "ChangeNotifier",
    "CustomTokenSource",
    "DevelopmentTokenSource",
    "E2EEOptions",
    "EncryptionError",
    "EndpointTokenSource",
    "InMemoryTokenStore",
    "LiteralTokenSource",
    "LiveKitJwtPayload",
    "MessageContent",
    "MessageReceiver",
    "MessageSender",
    "NotConnected",
    "OnError",
    "OnMessage",
    "ReceivedMessage",
    "Receivers",
    "RoomAgentDispatch",
    "RoomConfiguration",
    "SandboxTokenSource",
    "Senders",
    "SentMessage",
    "SentUserInput",
    "Session",
    "SessionError",
    "SessionErrorKind",
    "SessionOptions",
    "TextMessageSender",
    "TokenRequestOptions",
    "TokenSourceConfigurable",
    "TokenSourceError",
    "TokenSourceFixed",
    "TokenSourceHTTPError",
    "TokenSourceResponse",
    "TokenStore",
    "TokenStoreItem",
    "TokenValidator",
    "TranscriptionStreamReceiver",
    "Unsubscribe",
    "UserInput",
    "UserTranscript",
    "VideoGrants",
]

_show_as_ours(globals(), __all__)
