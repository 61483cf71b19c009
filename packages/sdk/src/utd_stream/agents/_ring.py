"""A buffer of limited size that keeps the newest bytes. Pure."""


class RingBuffer:
    """Bytes in the order of time; the oldest go when there is no room."""

    def __init__(self, capacity: int) -> None:
        """Keep at most `capacity` bytes, more than none."""
        if capacity <= 0:
            raise ValueError(f"capacity: more than 0 bytes, got {capacity}")
        self._capacity = capacity
        self._data = bytearray()

    def __len__(self) -> int:
        """How many bytes are kept."""
        return len(self._data)

    def write(self, chunk: bytes) -> bool:
        """Add bytes; says whether the buffer is full so that something was, or would be, lost."""
        if len(chunk) >= self._capacity:
            self._data[:] = chunk[-self._capacity :]
            return True
        surplus = len(self._data) + len(chunk) - self._capacity
        if surplus > 0:
            del self._data[:surplus]
        self._data += chunk
        return surplus > 0

    def to_bytes(self) -> bytes:
        """Everything, oldest first."""
        return bytes(self._data)

    def take_bytes(self) -> bytes:
        """Everything, oldest first; the buffer is empty then."""
        taken = self.to_bytes()
        self._data.clear()
        return taken
