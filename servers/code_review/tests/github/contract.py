"""GitHub's own contracts, reduced to what is used: every request and every scripted answer is held to them."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from graphql import GraphQLSchema, build_schema, execute_sync, parse, validate  # pyright: ignore[reportUnknownVariableType] - execute_sync has generics without arguments
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from pydantic import JsonValue

DATA = Path(__file__).with_name("data")

Json = dict[str, JsonValue]


@dataclass(frozen=True)
class Operation:
    """One operation of the REST interface."""

    name: str
    pattern: re.Pattern[str]
    parameters: Mapping[str, Json]
    body: JsonValue
    responses: Mapping[str, JsonValue]


class Contract:
    def __init__(self) -> None:
        self._rest = cast("dict[str, dict[str, Json]]", json.loads((DATA / "rest.json").read_text(encoding="utf-8")))
        self.operations = [_operation(name, one) for name, one in self._rest["operations"].items()]
        text = (DATA / "schema.graphql").read_text(encoding="utf-8")
        self.schema: GraphQLSchema = build_schema(text)

    def example(self, operation: str) -> JsonValue:
        """A fresh copy of GitHub's own example of an answer."""
        example = cast("JsonValue", json.loads(json.dumps(self._rest["operations"][operation]["example"])))
        if isinstance(example, dict) and "requested_teams" in example:
            example["requested_teams"] = []  # the team of the example breaks GitHub's own schema
        return example

    def operation(self, method: str, path: str) -> Operation | None:
        return next((one for one in self.operations if one.name.startswith(f"{method} ") and one.pattern.fullmatch(path)), None)

    def request_problems(self, operation: Operation, query: Mapping[str, str], body: JsonValue) -> list[str]:
        """What is wrong with a request: a parameter or a property that GitHub does not have, or a wrong value of one."""
        problems = [f"{operation.name} has no parameter {name!r}" for name in query if name not in operation.parameters]
        for name, value in query.items():
            if name in operation.parameters:
                schema = cast("Json", operation.parameters[name]["schema"])
                problems += self._problems(int(value) if schema.get("type") == "integer" else value, schema)
        if operation.body is None:
            return problems if body is None else [*problems, f"{operation.name} takes no body"]
        known = cast("Json", cast("Json", operation.body).get("properties", {}))
        if known and isinstance(body, dict):
            problems += [f"{operation.name} has no property {name!r}" for name in body if name not in known]
        return problems + self._problems(body, operation.body)

    def answer_problems(self, operation: Operation, status: int, body: JsonValue) -> list[str]:
        """What is wrong with a scripted success: a mock that GitHub would not send proves nothing."""
        if str(status) not in operation.responses:
            return [f"{operation.name} does not answer {status}"]
        schema = operation.responses[str(status)]
        return [] if schema is None else self._problems(body, schema)

    def _problems(self, value: JsonValue, schema: JsonValue) -> list[str]:
        whole: Json = {"allOf": [schema], "components": cast("JsonValue", self._rest["components"])}
        checker = Draft202012Validator(whole, format_checker=FormatChecker())
        errors = cast("Iterable[ValidationError]", checker.iter_errors(value))  # pyright: ignore[reportUnknownMemberType] - its other overload
        return [f"{error.json_path}: {error.message[:200]}" for error in errors]

    def graphql(self, text: str, variables: Json, root: Mapping[str, object]) -> tuple[Json, list[str]]:
        """The answer that *root* gives to a document, and what is wrong with either of them."""
        document = parse(text)
        problems = [error.message for error in validate(self.schema, document)]
        if problems:
            return {}, problems
        result = execute_sync(self.schema, document, root_value=root, variable_values=variables)
        wrong = [f"{error.path}: {error.message}" for error in result.errors or []]
        return cast("Json", result.data or {}), wrong


def _operation(name: str, found: Json) -> Operation:
    path = name.partition(" ")[2]
    # a path in {path} may hold slashes; everything else is one part
    pattern = re.sub(r"\\\{(\w+)\\\}", lambda match: "(.+)" if match[1] == "path" else "([^/]+)", re.escape(path))
    parameters = cast("list[Json]", found["parameters"])
    return Operation(
        name=name,
        pattern=re.compile(pattern),
        parameters={str(one["name"]): one for one in parameters if one["in"] == "query"},
        body=found["body"],
        responses=cast("dict[str, JsonValue]", found["responses"]),
    )
