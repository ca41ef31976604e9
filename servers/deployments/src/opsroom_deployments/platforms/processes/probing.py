"""One HTTP request to an instance, bounded in time and size, by the standard library alone: the daemon starts in no time."""

import asyncio
import re
from dataclasses import dataclass

from opsroom_shared.outside import clean

from ...spec import Probe

_MAX_HEAD = 16 << 10
_SHOWN = 300
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


@dataclass(frozen=True)
class Answered:
    """What came of a probe, in one line, and whether that is healthy."""

    words: str
    healthy: bool


async def probe_once(probe: Probe, port: int) -> Answered:
    asked = f"GET {probe.path}"
    try:
        status, body = await asyncio.wait_for(_get(probe.path, port), probe.timeout_seconds)
    except TimeoutError:
        return Answered(f"{asked}: no answer in {probe.timeout_seconds:g} s", healthy=False)
    except (OSError, EOFError) as error:
        return Answered(f"{asked} at port {port}: {_reason(error)}", healthy=False)
    except ValueError:
        return Answered(f"{asked}: the answer is not HTTP", healthy=False)
    words = clean(body.decode(errors="replace"), _SHOWN).replace("\n", " ").strip()
    return Answered(f"{asked}: {status} {words}".rstrip(), healthy=200 <= status < 400)


async def _get(path: str, port: int) -> tuple[int, bytes]:
    """The status and the beginning of the body. Raises OSError, EOFError, and ValueError for what is not HTTP."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_MAX_HEAD)
    try:
        # a connection that is kept open would hold an instance that waits for its clients before it ends
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: opsroom\r\nConnection: close\r\n\r\n".encode()
        )
        head = await _head(reader)
        found = _STATUS.match(head)
        if found is None:
            raise ValueError("no status line")
        body = b""
        while len(body) < _SHOWN and (chunk := await reader.read(_SHOWN)):
            body += chunk
    finally:
        writer.close()
    if b"transfer-encoding: chunked" in head.lower():
        body = body.partition(b"\r\n")[2]
    return int(found[1]), body


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise ValueError("the head is too long") from None


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    return "it closed the connection" if isinstance(error, (EOFError, ConnectionError)) else str(error)
