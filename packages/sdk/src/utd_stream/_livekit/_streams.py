"""Incoming text and byte streams of LiveKit, in our words."""

from collections.abc import AsyncIterator, Mapping

from livekit import rtc

from utd_stream._room.link import StreamInfo


class TextFrom:
    """A text stream being received."""

    def __init__(self, reader: rtc.TextStreamReader) -> None:
        self._reader = reader
        info = reader.info
        self.info = StreamInfo(
            stream_id=info.stream_id,
            topic=info.topic,
            timestamp_ms=info.timestamp,
            mime_type=info.mime_type,
            size=info.size or None,
        )

    @property
    def attributes(self) -> Mapping[str, str]:
        return dict(self._reader.info.attributes or {})

    def __aiter__(self) -> AsyncIterator[str]:
        return self._reader

    def close(self) -> None:
        self._reader.close()


class BytesFrom:
    """A byte stream being received."""

    def __init__(self, reader: rtc.ByteStreamReader) -> None:
        self._reader = reader
        info = reader.info
        self.info = StreamInfo(
            stream_id=info.stream_id,
            topic=info.topic,
            timestamp_ms=info.timestamp,
            mime_type=info.mime_type,
            size=info.size or None,
            name=info.name,
        )

    @property
    def attributes(self) -> Mapping[str, str]:
        return dict(self._reader.info.attributes or {})

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._reader

    def close(self) -> None:
        self._reader.close()
