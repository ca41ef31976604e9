"""Grafana's contract, reduced to what is used: every request and every scripted answer is held to it."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from ..scripted import Answer, Request, Scripted

_ANSWERS = {
    "search": ("hit", True),
    "getDashboardByUID": ("dashboard_full_with_meta", False),
    "getDataSources": ("data_source_list_item_dto", True),
    "getAnnotations": ("annotation", True),
    "getHealth": ("health_response", False),
}
"""What a success of an operation holds: a model, or a list of them."""

Json = dict[str, JsonValue]
_whole = cast("Json", json.loads(Path(__file__).with_name("data").joinpath("contract.json").read_text(encoding="utf-8")))
_operations = cast("list[Json]", _whole["operations"])
_models = cast("dict[str, dict[str, str]]", _whole["models"])


def breaches(server: Scripted) -> list[str]:
    """What the requests that *server* got, and its answers, are not in Grafana's contract with."""
    asked = [problem for request in server.requests for problem in _of_request(request)]
    answered = [
        problem for request, answers in server.scripted().items() for answer in answers for problem in _of_answer(request, answer)
    ]
    return asked + answered


def _operation(method: str, path: str) -> Json | None:
    return next((one for one in _operations if one["method"] == method and _pattern(str(one["path"])).fullmatch(path)), None)


def _pattern(path: str) -> re.Pattern[str]:
    # what follows a proxied data source is its own path
    return re.compile(re.sub(r"\\\{(\w+)\\\}", lambda part: ".+" if "route" in part[1] else "[^/]+", re.escape(path)))


def _of_request(request: Request) -> Iterator[str]:
    operation = _operation(request.method, request.path)
    if operation is None:
        yield f"Grafana has no {request.method} {request.path}"
    elif "proxy" not in request.path:
        known = cast("list[str]", operation["query"])
        yield from (f"{operation['operation']} has no parameter {name!r}" for name in request.query if name not in known)


def _of_answer(request: str, answer: Answer) -> Iterator[str]:
    method, _, path = request.partition(" ")
    operation = _operation(method, path)
    if operation is None:
        yield f"Grafana has no {request}"
        return
    name = str(operation["operation"])
    # a proxy in front of it answers what it likes, in its own words
    if answer.text is not None or name not in _ANSWERS:
        return
    if str(answer.status) not in cast("list[str]", operation["statuses"]):
        yield f"{name} does not answer {answer.status}"
    model, several = _ANSWERS[name] if answer.status == 200 else ("error_response_body", False)
    bodies = answer.body if several and isinstance(answer.body, list) else [answer.body]
    for body in bodies:
        yield from _of_model(model, body)


def _of_model(model: str, body: JsonValue) -> Iterator[str]:
    if not isinstance(body, Mapping):
        yield f"{model} is an object, not {body!r:.40}"
        return
    for field, value in body.items():
        kind = _models[model].get(field)
        if kind is None:
            yield f"{model} has no field {field!r}"
        elif not _fits(kind.removeprefix("*"), value):
            yield f"{model}.{field} is {kind}, not {value!r:.40}"


def _fits(kind: str, value: JsonValue) -> bool:
    kinds: dict[str, type | tuple[type, ...]] = {"string": str, "int64": int, "bool": bool, "[]string": list}
    expected = kinds.get(kind)
    return expected is None or (isinstance(value, expected) and not (kind == "int64" and isinstance(value, bool)))
