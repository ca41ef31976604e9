"""Makes data/rest.json and data/schema.graphql, the parts of GitHub's contracts that are used here: see data/ORIGIN.md."""

import json
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import cast

from graphql import (
    REMOVE,
    DocumentNode,
    FieldDefinitionNode,
    FieldNode,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    NamedTypeNode,
    TypeDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    get_named_type,
    parse,
    print_ast,
    visit,
)
from opsroom_code_review.providers.github import queries
from pydantic import JsonValue

_DESCRIPTION = re.compile(r'"""(?:.|\n)*?"""')

DATA = Path(__file__).with_name("data")

OPERATIONS = (
    "GET /repos/{owner}/{repo}/pulls/{pull_number}",
    "GET /repos/{owner}/{repo}/pulls/{pull_number}/files",
    "GET /repos/{owner}/{repo}/compare/{basehead}",
    "GET /repos/{owner}/{repo}/contents/{path}",
    "GET /repos/{owner}/{repo}/actions/jobs/{job_id}/logs",
    "GET /orgs/{org}/teams/{team_slug}/members",
    "POST /repos/{owner}/{repo}/pulls/{pull_number}/reviews",
    "POST /repos/{owner}/{repo}/pulls",
    "PATCH /repos/{owner}/{repo}/pulls/{pull_number}",
    "POST /repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers",
    "DELETE /repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers",
    "POST /repos/{owner}/{repo}/issues",
    "PATCH /repos/{owner}/{repo}/issues/{issue_number}",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/labels",
    "DELETE /repos/{owner}/{repo}/issues/{issue_number}/labels/{name}",
)

PUT_TOGETHER = f"""
query {{
  s0: search(type: ISSUE, query: "", first: 1, after: "") {{ ...foundPullsWithFiles }}
  s1: search(type: ISSUE, query: "", first: 1, after: "") {{ ...foundIssues }}
  viewer {{ login }}
  user(login: "") {{ login }}
  organization(login: "") {{ team(slug: "") {{ slug }} }}
  repository(owner: "", name: "") {{
    nameWithOwner
    defaultBranchRef {{ name }}
    assignableUsers(first: 1, query: "") {{ nodes {{ login }} }}
    labels(first: 1) {{ nodes {{ name }} }}
    label(name: "") {{ name }}
    milestones(first: 1, states: [OPEN]) {{ nodes {{ title number }} }}
    pullRequest(number: 1) {{ ...edited }}
    item: issueOrPullRequest(number: 1) {{ __typename ...issue }}
  }}
}}
{queries.FOUND_PULLS_WITH_FILES.replace("foundPulls on", "foundPullsWithFiles on")}
{queries.FOUND_ISSUES.replace(queries.WHO, "")}
{queries.EDITED.replace(queries.SUMMARY, "")}
"""
"""Everything that the documents ask for which are put together at the call."""

Json = dict[str, JsonValue]


def reduced_rest(whole: Json) -> Json:
    """The operations and what they refer to, in JSON Schema's own words instead of OpenAPI 3.0's."""
    paths = cast("dict[str, dict[str, Json]]", whole["paths"])
    operations: Json = {}
    for operation in OPERATIONS:
        method, path = operation.split()
        found = paths[path][method.lower()]
        parameters = [_resolved(whole, cast("Json", one)) for one in cast("list[JsonValue]", found.get("parameters", []))]
        responses = cast("dict[str, Json]", found["responses"])
        operations[operation] = {
            "parameters": [
                {key: _plain(one[key]) for key in ("name", "in", "required", "schema") if key in one} for one in parameters
            ],
            "body": _schema(cast("Json", found.get("requestBody", {}))),
            "responses": {code: _schema(_resolved(whole, answer)) for code, answer in responses.items() if code < "400"},
            "example": _example(whole, responses),
        }
    schemas: Json = {}
    waiting = list(_references(operations))
    while waiting:
        name = waiting.pop()
        if name not in schemas:
            schemas[name] = _plain(_resolved(whole, {"$ref": f"#/components/schemas/{name}"}))
            waiting += _references(schemas[name])
    return {"operations": operations, "components": {"schemas": dict(sorted(schemas.items()))}}


def _resolved(whole: Json, node: Json) -> Json:
    while "$ref" in node:
        found: JsonValue = whole
        for part in str(node["$ref"]).removeprefix("#/").split("/"):
            found = cast("Json", found)[part]
        node = cast("Json", found)
    return node


def _schema(node: Json) -> JsonValue:
    content = cast("dict[str, Json]", node.get("content", {}))
    return _plain(content["application/json"]["schema"]) if "application/json" in content else None


def _example(whole: Json, responses: dict[str, Json]) -> JsonValue:
    """GitHub's own example of a success, with which tests begin."""
    for code in sorted(responses):
        content = cast("dict[str, Json]", _resolved(whole, responses[code]).get("content", {})).get("application/json", {})
        for example in cast("dict[str, Json]", content.get("examples", {})).values():
            return _resolved(whole, example).get("value")
    return None


def _plain(node: JsonValue) -> JsonValue:
    if isinstance(node, list):
        return [_plain(one) for one in node]
    if not isinstance(node, dict):
        return node
    kept: Json = {
        key: {name: _plain(one) for name, one in value.items()}
        if key == "properties" and isinstance(value, dict)
        else _plain(value)
        for key, value in node.items()
        if key not in ("description", "example", "examples", "nullable", "deprecated", "title", "externalDocs")
        and not key.startswith("x-")
    }
    return {"anyOf": [kept, {"type": "null"}]} if node.get("nullable") is True else kept


def _references(node: JsonValue) -> Iterable[str]:
    if isinstance(node, list):
        for one in node:
            yield from _references(one)
    elif isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str):
            yield reference.rpartition("/")[2]
        for one in node.values():
            yield from _references(one)


class _Used(Visitor):
    """Notes which types and fields a document uses."""

    def __init__(self, info: TypeInfo, fields: dict[str, set[str]]) -> None:
        super().__init__()
        self._info, self._fields = info, fields

    def enter_field(self, node: FieldNode, *_: object) -> None:
        parent = self._info.get_parent_type()
        if parent is not None and not node.name.value.startswith("__"):
            self._fields.setdefault(parent.name, set()).add(node.name.value)


def reduced_graphql(text: str, documents: Iterable[DocumentNode]) -> str:
    """The types that the documents touch, with the fields that they use."""
    text = _DESCRIPTION.sub("", text)
    schema = build_schema(text, assume_valid_sdl=True)  # GitHub names two fields of one type twice
    fields: dict[str, set[str]] = {}
    for document in documents:
        info = TypeInfo(schema)
        visit(document, TypeInfoVisitor(info, _Used(info, fields)))
    fields["Node"] = {"id"}  # nothing is asked of it but what is behind it, and a type without fields is none
    kept = {name: schema.type_map[name] for name in fields}
    _add_members(schema, fields, kept)
    waiting: list[GraphQLNamedType] = list(kept.values())
    while waiting:
        kind = waiting.pop()
        kept[kind.name] = kind
        for other in _neighbours(kind, fields):
            if other.name not in kept:
                kept[other.name] = other
                waiting.append(other)
    return print_ast(visit(parse(text), _Cut(kept.keys(), fields)))


class _Cut(Visitor):
    """Leaves of a schema only the types that are kept, with the fields that are used, without a word of explanation."""

    def __init__(self, kept: Collection[str], fields: Mapping[str, Collection[str]]) -> None:
        super().__init__()
        self._kept, self._fields = kept, fields

    def _enter_type(self, node: TypeDefinitionNode, *_: object) -> object:
        return None if node.name.value in self._kept else REMOVE

    enter_object_type_definition = enter_interface_type_definition = enter_union_type_definition = _enter_type
    enter_enum_type_definition = enter_input_object_type_definition = enter_scalar_type_definition = _enter_type

    def enter_field_definition(self, node: FieldDefinitionNode, *place: object) -> object:
        *_, ancestors = place
        owner = next(one for one in reversed(cast("list[object]", ancestors)) if isinstance(one, TypeDefinitionNode))
        return None if node.name.value in self._fields.get(owner.name.value, ()) else REMOVE

    def enter_named_type(self, node: NamedTypeNode, _key: object, _parent: object, path: list[str | int], *_: object) -> object:
        return REMOVE if path[-2] in ("types", "interfaces") and node.name.value not in self._fields else None

    def enter_directive(self, *_: object) -> object:
        return REMOVE

    enter_directive_definition = enter_directive


def _add_members(schema: GraphQLSchema, fields: dict[str, set[str]], kept: dict[str, GraphQLNamedType]) -> None:
    """An interface that is used lends its fields to those of its types that are used, or can be behind it."""
    for name in list(fields):
        kind = schema.type_map[name]
        if isinstance(kind, GraphQLInterfaceType):
            for member in schema.get_possible_types(kind):
                if member.name in fields or name == "Actor":
                    fields.setdefault(member.name, set()).update(fields[name])
                    kept[member.name] = member


def _neighbours(kind: GraphQLNamedType, fields: dict[str, set[str]]) -> Iterable[GraphQLNamedType]:
    if isinstance(kind, (GraphQLObjectType, GraphQLInterfaceType)):
        for name in fields.get(kind.name, ()):
            yield get_named_type(kind.fields[name].type)
            for argument in kind.fields[name].args.values():
                yield get_named_type(argument.type)
    elif isinstance(kind, GraphQLInputObjectType):
        for field in kind.fields.values():
            yield get_named_type(field.type)


def documents() -> list[DocumentNode]:
    """All that is sent: fragments stand in the documents that use them."""
    constants = [value for value in vars(queries).values() if isinstance(value, str)]
    return [parse(text) for text in [*constants, PUT_TOGETHER] if text.lstrip().startswith(("query", "mutation"))]


def main() -> None:
    """Arguments: the folder of @octokit/openapi, and the one of @octokit/graphql-schema."""
    openapi, graphql = Path(sys.argv[1]), Path(sys.argv[2])
    whole = json.loads((openapi / "generated" / "api.github.com.json").read_text(encoding="utf-8"))
    (DATA / "rest.json").write_text(json.dumps(reduced_rest(whole), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text = (graphql / "schema.graphql").read_text(encoding="utf-8")
    (DATA / "schema.graphql").write_text(reduced_graphql(text, documents()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
