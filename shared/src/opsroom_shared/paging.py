"""Opaque cursors: a signed position that only the server that made it accepts, and only for the same question."""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field

from pydantic import JsonValue

from .errors import InvalidInput

_MAX_CURSOR = 4_096


@dataclass(frozen=True)
class Cursors:
    """Signs and reads cursors with a key of this process; a cursor from another process is refused, not trusted."""

    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def encode(self, question: str, position: JsonValue) -> str:
        """A cursor for *position* within the answer to *question* (any text that identifies it, such as the SQL)."""
        body = json.dumps([_digest(question), position], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._sign(body) + body).decode().rstrip("=")

    def decode(self, question: str, cursor: str) -> JsonValue:
        """The position in *cursor*. Raises InvalidInput when it was altered, or belongs to another question or process."""
        if len(cursor) > _MAX_CURSOR:
            raise InvalidInput("The cursor is not one of this server's. Repeat the call without it.")
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except ValueError:
            raw = b""
        signature, body = raw[:16], raw[16:]
        if not body or not hmac.compare_digest(signature, self._sign(body)):
            raise InvalidInput("The cursor is not one of this server's, or has expired. Repeat the call without it.")
        digest, position = json.loads(body)
        if digest != _digest(question):
            raise InvalidInput("The cursor belongs to another call. Repeat that call, or leave the cursor out.")
        return position

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self.key, body, "sha256")[:16]


def _digest(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:16]
