"""Headless live voice and video sessions: rooms with seats, roles and moderation, on LiveKit.

Everything is imported from here; the modules below are private. `utd_stream.testing` has fakes.
"""

from utd_protocol import events as events
from utd_protocol import inbox as inbox_events
from utd_protocol.answers import BanRecord as BanRecord
from utd_protocol.answers import Page as Page
from utd_protocol.answers import Present as Present
from utd_protocol.policy import Policy as Policy
from utd_protocol.policy import PolicyPatch as PolicyPatch
from utd_protocol.types import AgentStatus as AgentStatus
from utd_protocol.types import BanScope as BanScope
from utd_protocol.types import CallReason as CallReason
from utd_protocol.types import CallStatus as CallStatus
from utd_protocol.types import DataPolicy as DataPolicy
from utd_protocol.types import Direction as Direction
from utd_protocol.types import HostGone as HostGone
from utd_protocol.types import Opens as Opens
from utd_protocol.types import RequestsVisible as RequestsVisible
from utd_protocol.types import Role as Role
from utd_protocol.types import RoomState as RoomState
from utd_protocol.types import RoomType as RoomType
from utd_protocol.types import SeatMode as SeatMode
from utd_protocol.types import SeatState as SeatState
from utd_protocol.types import Source as Source
from utd_protocol.types import StageInvites as StageInvites
from utd_protocol.types import StageRole as StageRole
from utd_protocol.types import Target as Target
from utd_protocol.views import AgentView as AgentView
from utd_protocol.views import CallView as CallView
from utd_protocol.views import Member as Member
from utd_protocol.views import Request as Request
from utd_protocol.views import RoomView as RoomView
from utd_protocol.views import Seat as Seat
from utd_protocol.views import StageMember as StageMember
from utd_stream._broadcast import EventReader as EventReader
from utd_stream._client import UTDStreamClient as UTDStreamClient
from utd_stream._engine.backoff import Jitter as Jitter
from utd_stream._engine.inbox import InboxEvent as InboxEvent
from utd_stream._errors import AuthRejected as AuthRejected
from utd_stream._errors import Banned as Banned
from utd_stream._errors import CallOver as CallOver
from utd_stream._errors import Closed as Closed
from utd_stream._errors import ClosedByUs as ClosedByUs
from utd_stream._errors import Conflict as Conflict
from utd_stream._errors import ConnectError as ConnectError
from utd_stream._errors import ConnectionLost as ConnectionLost
from utd_stream._errors import DeviceFailed as DeviceFailed
from utd_stream._errors import EncryptionError as EncryptionError
from utd_stream._errors import EngineError as EngineError
from utd_stream._errors import Invalid as Invalid
from utd_stream._errors import Kicked as Kicked
from utd_stream._errors import Lagged as Lagged
from utd_stream._errors import Limited as Limited
from utd_stream._errors import MediaError as MediaError
from utd_stream._errors import NotAllowed as NotAllowed
from utd_stream._errors import NotAuthenticated as NotAuthenticated
from utd_stream._errors import NotFound as NotFound
from utd_stream._errors import PublishFailed as PublishFailed
from utd_stream._errors import PublishNotAllowed as PublishNotAllowed
from utd_stream._errors import Replaced as Replaced
from utd_stream._errors import RequestRejected as RequestRejected
from utd_stream._errors import RoomEnded as RoomEnded
from utd_stream._errors import Unavailable as Unavailable
from utd_stream._errors import Unreachable as Unreachable
from utd_stream._errors import UTDStreamException as UTDStreamException
from utd_stream._errors import VersionMismatch as VersionMismatch
from utd_stream._exports import show_as_ours as _show_as_ours
from utd_stream._media.devices import Microphone as Microphone
from utd_stream._media.devices import Speakers as Speakers
from utd_stream._media.frames import AudioFrame as AudioFrame
from utd_stream._media.frames import AudioInput as AudioInput
from utd_stream._media.frames import MediaInputs as MediaInputs
from utd_stream._media.frames import Push as Push
from utd_stream._media.frames import Samples as Samples
from utd_stream._media.frames import Tone as Tone
from utd_stream._media.image import ImageFile as ImageFile
from utd_stream._media.video import Pixels as Pixels
from utd_stream._media.video import PushVideo as PushVideo
from utd_stream._media.video import TestPattern as TestPattern
from utd_stream._media.video import VideoFrame as VideoFrame
from utd_stream._media.video import VideoInput as VideoInput
from utd_stream._media.wav import WavFile as WavFile
from utd_stream._models import Invite as Invite
from utd_stream._models import UTDCall as UTDCall
from utd_stream._models import UTDCallStatus as UTDCallStatus
from utd_stream._models import UTDStageMember as UTDStageMember
from utd_stream._models import UTDStreamType as UTDStreamType
from utd_stream._models import UTDTokenResponse as UTDTokenResponse
from utd_stream._observable import Observable as Observable
from utd_stream._room import events as livekit_events
from utd_stream._room.connection import ConnectionQuality as ConnectionQuality
from utd_stream._room.connection import DisconnectReason as DisconnectReason
from utd_stream._room.connection import Permissions as Permissions
from utd_stream._room.connection import SourceName as SourceName
from utd_stream._room.connection import UTDConnectionState as UTDConnectionState
from utd_stream._room.encryption import E2EEOptions as E2EEOptions
from utd_stream._room.events import LiveKitEvent as LiveKitEvent
from utd_stream._room.events import RawEvent as RawEvent
from utd_stream._room.link import BytesHandler as BytesHandler
from utd_stream._room.link import IncomingBytes as IncomingBytes
from utd_stream._room.link import IncomingText as IncomingText
from utd_stream._room.link import OpenLink as OpenLink
from utd_stream._room.link import StreamInfo as StreamInfo
from utd_stream._room.link import TextHandler as TextHandler
from utd_stream._room.participants import ParticipantKind as ParticipantKind
from utd_stream._room.participants import RemoteParticipant as RemoteParticipant
from utd_stream._room.participants import TrackInfo as TrackInfo
from utd_stream._room.participants import TrackKind as TrackKind
from utd_stream._room.publishing import Standing as Standing
from utd_stream._room.room import UTDRoom as UTDRoom
from utd_stream._sessions.audio_room import UTDAudioRoomSession as UTDAudioRoomSession
from utd_stream._sessions.call import UTDCallSession as UTDCallSession
from utd_stream._sessions.incoming import IncomingCall as IncomingCall
from utd_stream._sessions.live_stream import UTDLiveStreamSession as UTDLiveStreamSession
from utd_stream._sessions.personal import IdentityToken as IdentityToken
from utd_stream._sessions.requests import RequestsSession as RequestsSession
from utd_stream._sessions.room_session import RoomSession as RoomSession
from utd_stream._sessions.session import UTDSession as UTDSession
from utd_stream._sessions.updates import Resynced as Resynced
from utd_stream._sessions.updates import Update as Update
from utd_stream._sessions.updates import Updates as Updates
from utd_stream._sessions.video_session import VideoSession as VideoSession

__all__ = [
    "AgentStatus",
    "AgentView",
    "AudioFrame",
    "AudioInput",
    "AuthRejected",
    "BanRecord",
    "BanScope",
    "Banned",
    "BytesHandler",
    "CallOver",
    "CallReason",
    "CallStatus",
    "CallView",
    "Closed",
    "ClosedByUs",
    "Conflict",
    "ConnectError",
    "ConnectionLost",
    "ConnectionQuality",
    "DataPolicy",
    "DeviceFailed",
    "Direction",
    "DisconnectReason",
    "E2EEOptions",
    "EncryptionError",
    "EngineError",
    "EventReader",
    "HostGone",
    "IdentityToken",
    "ImageFile",
    "InboxEvent",
    "IncomingBytes",
    "IncomingCall",
    "IncomingText",
    "Invalid",
    "Invite",
    "Jitter",
    "Kicked",
    "Lagged",
    "Limited",
    "LiveKitEvent",
    "MediaError",
    "MediaInputs",
    "Member",
    "Microphone",
    "NotAllowed",
    "NotAuthenticated",
    "NotFound",
    "Observable",
    "OpenLink",
    "Opens",
    "Page",
    "ParticipantKind",
    "Permissions",
    "Pixels",
    "Policy",
    "PolicyPatch",
    "Present",
    "PublishFailed",
    "PublishNotAllowed",
    "Push",
    "PushVideo",
    "RawEvent",
    "RemoteParticipant",
    "Replaced",
    "Request",
    "RequestRejected",
    "RequestsSession",
    "RequestsVisible",
    "Resynced",
    "Role",
    "RoomEnded",
    "RoomSession",
    "RoomState",
    "RoomType",
    "RoomView",
    "Samples",
    "Seat",
    "SeatMode",
    "SeatState",
    "Source",
    "SourceName",
    "Speakers",
    "StageInvites",
    "StageMember",
    "StageRole",
    "Standing",
    "StreamInfo",
    "Target",
    "TestPattern",
    "TextHandler",
    "Tone",
    "TrackInfo",
    "TrackKind",
    "UTDAudioRoomSession",
    "UTDCall",
    "UTDCallSession",
    "UTDCallStatus",
    "UTDConnectionState",
    "UTDLiveStreamSession",
    "UTDRoom",
    "UTDSession",
    "UTDStageMember",
    "UTDStreamClient",
    "UTDStreamException",
    "UTDStreamType",
    "UTDTokenResponse",
    "Unavailable",
    "Unreachable",
    "Update",
    "Updates",
    "VersionMismatch",
    "VideoFrame",
    "VideoInput",
    "VideoSession",
    "WavFile",
    "events",
    "inbox_events",
    "livekit_events",
]

_show_as_ours(globals(), __all__)
