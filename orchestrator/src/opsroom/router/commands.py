"""Structured commands: `/databases run_query sql="select 1"`, `@monitoring which alerts fire?`, `/sql select 1`."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from opsroom.agents.definition import AgentDefinition

from .decision import Call, Decision, Evidence, Kind, Request, StageName

Argument: TypeAlias = str | int | float | bool

# a slash inside the name is a path (/var/log is full), not a command
_COMMAND = re.compile(r"[/@](?P<name>[A-Za-z][\w-]*)(?=[\s:,]|$)[\s:,]*(?P<rest>.*)", re.DOTALL)
_EVERYBODY = frozenset({"here", "channel", "all", "everyone", "team", "opsroom"})
_TOOL = re.compile(r"(?P<tool>[a-z][a-z0-9]*(?:_[a-z0-9]+)+)(?=\s|$)\s*(?P<rest>.*)", re.DOTALL)
_KEY = re.compile(r"([A-Za-z_]\w*)\s*=\s*")
_BARE = re.compile(r"[^\s\"“”]+")
_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,17})")
_FLOAT = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,18})?(?:[eE][+-]?\d{1,2})?")
_CLOSING = {'"': '"', "'": "'", "“": "”"}


class Malformed(ValueError):
    """The arguments of a call cannot be read. Its text says where."""


@dataclass(frozen=True)
class Command:
    """A request that begins with `/name` or `@name`."""

    mark: str
    name: str
    rest: str


def read_command(text: str) -> Command | None:
    text = text.strip()
    found = _COMMAND.match(text)
    if found is None or (text[0] == "@" and found["name"].lower() in _EVERYBODY):
        return None
    return Command(text[0], found["name"].lower().replace("-", "_"), found["rest"].strip())


def read_call(rest: str) -> Call | None:
    """The tool call that *rest* spells out, or None where it is a sentence. Raises Malformed for a call that cannot be read."""
    found = _TOOL.match(rest)
    if found is None:
        return None
    tool, arguments = found["tool"], found["rest"].strip()
    if not arguments:
        return Call(tool=tool, arguments={})
    if _KEY.match(arguments) is None:
        return None
    return Call(tool=tool, arguments=read_arguments(arguments))


def read_arguments(text: str) -> dict[str, Argument]:
    """`key=value` pairs; a quoted value is a string, a bare one a number or a boolean where it looks like one.

    Raises Malformed.
    """
    arguments: dict[str, Argument] = {}
    at = 0
    while at < len(text):
        key = _KEY.match(text, at)
        if key is None:
            raise Malformed(f"expected key=value at {_shown(text[at:])}")
        if key[1] in arguments:
            raise Malformed(f"{key[1]} is given twice")
        arguments[key[1]], at = _value(key[1], text, key.end())
        spaces = re.compile(r"[\s,]*").match(text, at)
        following = spaces.end() if spaces else at
        if following == at and at < len(text):
            raise Malformed(f"expected a space after the value of {key[1]}")
        at = following
    return arguments


def _value(key: str, text: str, at: int) -> tuple[Argument, int]:
    closing = _CLOSING.get(text[at : at + 1])
    if closing:
        return _quoted(key, text, at + 1, closing)
    bare = _BARE.match(text, at)
    if bare is None:
        raise Malformed(f"{key} has no value")
    return _typed(bare[0].rstrip(",") or bare[0]), bare.end()


def _quoted(key: str, text: str, at: int, closing: str) -> tuple[str, int]:
    """The string that ends at *closing*. Only the closing quote and the backslash can be escaped, so a regex keeps its own."""
    out: list[str] = []
    while at < len(text):
        char = text[at]
        if char == "\\" and text[at + 1 : at + 2] in (closing, "\\"):
            out.append(text[at + 1])
            at += 2
        elif char == closing:
            return "".join(out), at + 1
        else:
            out.append(char)
            at += 1
    raise Malformed(f"the quote of {key} is not closed")


def quote(value: str) -> str:
    """*value* as a quoted argument: what `read_arguments` reads back."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _typed(word: str) -> Argument:
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    if _INTEGER.fullmatch(word):
        return int(word)
    if _FLOAT.fullmatch(word):
        return float(word)
    return word


def _shown(text: str) -> str:
    return repr(text if len(text) <= 30 else text[:27] + "...")


@dataclass
class Commands:
    """The stage that takes a request at its word when it names an agent or a command."""

    agents: Mapping[str, AgentDefinition]
    name: StageName = StageName.RULES
    _owners: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self._owners = {name: name for name in self.agents}
        for name, agent in self.agents.items():
            for command in agent.routing.commands:
                self._owners.setdefault(command.lower().replace("-", "_"), name)

    async def decide(self, request: Request, evidence: Evidence) -> Decision | None:
        command = read_command(request.text)
        if command is None:
            return None
        owner = self._owners.get(command.name)
        if owner is None:
            return self._unknown(command)
        evidence.scores[owner] = 1.0
        if not command.rest and command.name == owner:
            return self._asked(
                f"What should {self.agents[owner].title} do? Write it after {command.mark}{owner}.", f"{owner} alone"
            )
        try:
            call = read_call(command.rest)
        except Malformed as error:
            form = f'{command.mark}{command.name} {command.rest.split()[0]} key="text" other=1'
            return self._asked(f"The call cannot be read: {error}. Write it as {form}", "a call that cannot be read")
        return Decision(
            decision=Kind.ROUTE,
            agents=(owner,),
            stage=self.name,
            confidence=1,
            reason=f"command {command.mark}{command.name}",
            call=call,
        )

    def _unknown(self, command: Command) -> Decision:
        if command.name == "help":
            titles = ", ".join(f"{command.mark}{name}" for name in self.agents)
            return self._asked(f"Name an agent and what it should do: {titles}. A plain sentence works as well.", "help")
        near = difflib.get_close_matches(command.name, self._owners, n=1, cutoff=0)
        nearest = f" Did you mean {command.mark}{near[0]}?" if near else ""
        return self._asked(f"No agent or command is called {_shown(command.name)}.{nearest}", "unknown agent")

    def _asked(self, question: str, reason: str) -> Decision:
        return Decision(decision=Kind.CLARIFY, stage=self.name, confidence=1, question=question, reason=reason)
