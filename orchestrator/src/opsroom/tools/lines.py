"""Cuts a byte stream into lines of bounded size, in linear time and bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field

EDGE = 512
"""Bytes that are kept of either end of a line that was too long."""


@dataclass(frozen=True)
class Oversize:
    """What is kept of a line that was too long: enough of both ends to tell what it was."""

    head: bytes
    tail: bytes
    size: int


@dataclass
class Lines:
    """Collects chunks; a line longer than *limit* bytes is dropped and reported as Oversize."""

    limit: int
    _parts: list[bytes] = field(default_factory=list[bytes])
    _size: int = 0
    _head: bytes = b""

    def feed(self, chunk: bytes) -> Iterator[bytes | Oversize]:
        """The lines that *chunk* completes, without their newline."""
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self._add(part)
            yield self._end()
        self._add(rest)

    def rest(self) -> bytes | Oversize | None:
        """The last line when the stream ended without a newline after it."""
        return self._end() if self._size else None

    def _add(self, part: bytes) -> None:
        if not part:
            return
        self._size += len(part)
        self._parts.append(part)
        if self._size > self.limit:
            line = b"".join(self._parts)
            self._head = self._head or line[:EDGE]
            self._parts = [line[-EDGE:]]

    def _end(self) -> bytes | Oversize:
        line, size, head = b"".join(self._parts), self._size, self._head
        self._parts, self._size, self._head = [], 0, b""
        return Oversize(head, line[-EDGE:], size) if size > self.limit else line
