"""The recorded calls of a real Phorge with made-up data, as they are kept in this folder."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias, cast

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Map: TypeAlias = dict[str, Json]

DATA = Path(__file__).with_name("data")


@dataclass(frozen=True)
class Transcript:
    name: str
    method: str
    params: Map
    """As the request had them, without the token."""
    status: int
    content_type: str
    body: str
    token: str
    """What stood in the place of the token when it was recorded."""

    @property
    def answer(self) -> Map:
        return cast("Map", json.loads(self.body))

    @property
    def result(self) -> Json:
        return self.answer["result"]

    @property
    def data(self) -> list[Map]:
        """The objects in the answer of a search."""
        return cast("list[Map]", as_map(self.result)["data"])


@cache
def transcript(name: str) -> Transcript:
    raw = as_map(json.loads((DATA / f"{name}.json").read_text(encoding="utf-8")))
    request, response = as_map(raw["request"]), as_map(raw["response"])
    params = as_map(request.get("params") or {})
    token = str(as_map(params.get("__conduit__") or {}).get("token") or params.get("api.token") or "api-token-redacted")
    body = json.dumps(response["body"]) if "body" in response else str(response["body_text"])
    return Transcript(
        name,
        str(raw["conduit_method"]),
        {key: value for key, value in params.items() if key not in ("__conduit__", "api.token")},
        cast("int", response["status"]),
        str(response["content_type"]),
        body,
        token,
    )


def names(prefix: str) -> list[str]:
    return sorted(path.stem for path in DATA.glob(f"{prefix}*.json"))


def as_map(value: Json) -> Map:
    assert isinstance(value, dict)
    return value


def texts(value: Json) -> list[str]:
    return cast("list[str]", [] if value is None else value)


def numbers(value: Json) -> list[int]:
    return cast("list[int]", [] if value is None else value)


def maps(value: Json) -> list[Map]:
    return cast("list[Map]", [] if value is None else value)
