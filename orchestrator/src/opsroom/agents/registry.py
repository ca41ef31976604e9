"""The agents there are: the four that ship, and a team's own from the workspace."""

from pathlib import Path

from opsroom_shared.config import ConfigError, line_of, parse_toml

from .definition import AgentDefinition
from .offline import unknown_placeholders
from .prompts import load_prompt
from .result import is_free_field

SHIPPED = Path(__file__).parent / "definitions"


def load_agents(extra: Path | None = None) -> dict[str, AgentDefinition]:
    """Every agent by name: the shipped ones, then those of the folder *extra* (`agents.d`), if it exists. Raises ConfigError.

    A team's agent is `agents.d/NAME.toml`, its prompts are `agents.d/prompts/NAME/VERSION.md`, in the form of the shipped ones.
    """
    agents: dict[str, AgentDefinition] = {}
    for folder in (SHIPPED, extra):
        for path in sorted(folder.glob("*.toml")) if folder else ():
            agent = parse_toml(path, AgentDefinition)
            _check(agent, path)
            if agent.name in agents:
                raise ConfigError(f"{_place(path, 'name')}: the agent {agent.name} exists already; choose another name")
            if folder == extra:
                load_prompt(agent.name, "full", extra=extra)
            agents[agent.name] = agent
    return agents


def _check(agent: AgentDefinition, path: Path) -> None:
    if agent.name != path.stem:
        raise ConfigError(f"{_place(path, 'name')}: expected the name of the file, {path.stem} (got {agent.name!r})")
    for field in agent.output:
        if not is_free_field(field):
            where = _place(path, "output", field)
            raise ConfigError(f"{where}: expected a lower-case name that an answer does not have already")
    for index, call in enumerate(agent.offline):
        if unknown := unknown_placeholders(call):
            where = _place(path, "offline", index, "arguments")
            raise ConfigError(f"{where}: expected {{text}}, {{sql}} or a named group of `match` (got {{{unknown[0]}}})")


def _place(path: Path, *location: str | int) -> str:
    line = line_of(path.read_text(encoding="utf-8"), location)
    return ":".join([str(path), *([str(line)] if line else [])]) + ": " + ".".join(str(part) for part in location)
