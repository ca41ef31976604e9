"""Opaque cursors: a signed position that only the server that made it accepts, and only for the same question."""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field

from pydantic import JsonValue

from .errors import InvalidInput

MAX_CURSOR = 4_096
_SIGNATURE = 16


@dataclass(frozen=True)
class Cursors:
    """Signs and reads cursors with a key of this process; a cursor from another process is refused, not trusted.

    Several processes that answer for one another share a *key* of at least 16 bytes.
    """

    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < 16:
            raise ValueError("a cursor key has at least 16 bytes")

    def encode(self, question: str, position: JsonValue) -> str:
        """A cursor for *position* within the answer to *question* (any text that identifies it, such as the SQL).

        Raises ValueError for a position too large to be carried: such an answer cannot be paged by position.
        """
        body = json.dumps([_digest(question), position], separators=(",", ":")).encode()
        cursor = _to_text(self._sign(body) + body)
        if len(cursor) > MAX_CURSOR:
            raise ValueError(f"a position of {len(body)} bytes does not fit a cursor")
        return cursor

    def decode(self, question: str, cursor: str) -> JsonValue:
        """The position in *cursor*. Raises InvalidInput when it was altered, or belongs to another question or process."""
        raw = _from_text(cursor) if len(cursor) <= MAX_CURSOR else b""
        signature, body = raw[:_SIGNATURE], raw[_SIGNATURE:]
        if not body or not hmac.compare_digest(signature, self._sign(body)):
            raise InvalidInput("The cursor is not one of this server's, or has expired. Repeat the call without it.")
        digest, position = json.loads(body)
        if digest != _digest(question):
            raise InvalidInput("The cursor belongs to another call. Repeat that call, or leave the cursor out.")
        return position

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self.key, body, "sha256")[:_SIGNATURE]


def _to_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _from_text(cursor: str) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        return b""
    # the decoder skips what it does not know, so that one position would have many spellings
    return raw if _to_text(raw) == cursor else b""


def _digest(question: str) -> str:
    # a lone surrogate, which JSON can carry, has no UTF-8 otherwise
    return hashlib.sha256(question.encode(errors="surrogatepass")).hexdigest()[:16]
