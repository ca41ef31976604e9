"""Plays a script: gives the response to one request after the other, and keeps the requests."""

import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from pydantic import JsonValue, TypeAdapter, ValidationError

from .asked import Asked
from .messages import Exchange
from .responses import Response, error_response, respond
from .script import Script

MAX_KEPT = 2_000
_MESSAGES, _COUNT = "/v1/messages", "/v1/messages/count_tokens"
_BODY: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])
Headers: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class Recorded:
    """A request to the Messages API as it came."""

    headers: Headers = field(repr=False)
    """By lower-case name; the key is among them."""
    body: Mapping[str, JsonValue]

    @property
    def model(self) -> str:
        return str(self.body.get("model"))


class Player:
    def __init__(self, script: Script) -> None:
        self._cues = script.cues
        self._left = [cue.times for cue in script.cues]
        self._count = 0
        self._kept: deque[Recorded] = deque(maxlen=MAX_KEPT)
        # the answers are given in the server's thread, the requests are read in the test's
        self._arrived = threading.Condition()

    @property
    def kept(self) -> tuple[Recorded, ...]:
        with self._arrived:
            return tuple(self._kept)

    def wait_for(self, count: int, seconds: float) -> bool:
        """Wait until *count* requests have come. Returns whether they have."""
        with self._arrived:
            return self._arrived.wait_for(lambda: self._count >= count, seconds)

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> Response:
        if method != "POST" or path not in {_MESSAGES, _COUNT}:
            return error_response(404, "not_found_error", f"{method} {path} is not played here")
        if path == _COUNT:
            counted = json.dumps({"input_tokens": len(body) // 4}).encode()
            return Response(parts=(counted,), length=len(counted))
        try:
            recorded = Recorded(headers, _BODY.validate_json(body))
            with self._arrived:
                self._kept.append(recorded)
                self._count += 1
                self._arrived.notify_all()
            return self._play(Asked.model_validate(recorded.body))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            return error_response(400, "invalid_request_error", f"{place or 'body'}: {first['msg']}")
        except ValueError as error:
            return error_response(400, "invalid_request_error", str(error))

    def _play(self, asked: Asked) -> Response:
        for number, cue in enumerate(self._cues):
            left = self._left[number]
            if left != 0 and (heard := cue.hears(asked)) is not None:
                self._left[number] = None if left is None else left - 1
                return respond(cue.reply, Exchange(asked, self._count, heard))
        return respond(None, Exchange(asked, self._count))
