"""A script: which reply the scripted server gives to which request."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Self

from opsroom_shared.config import ConfigError, explain, load_toml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from .asked import Asked
from .replies import FAULTS, AnyReply, MessageReply, Reply


class Cue(BaseModel):
    """A reply, and when it is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reply: Reply
    model: str = ""
    """A part of the model's name."""
    says: str = ""
    """A regular expression that the last user text holds, without regard to case."""
    round: int | None = Field(default=None, ge=0)
    """How often tools have answered since that text; None: any number of times."""
    times: int | None = Field(default=None, ge=1)
    """How often it may be given; None: whenever it fits."""

    @field_validator("says")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return value

    def hears(self, asked: Asked) -> tuple[str, ...] | None:
        """The groups of `says` in the text of *asked*, or None where this is no cue for it."""
        calls = self.reply.calls if isinstance(self.reply, MessageReply) else ()
        if calls and not any(asked.offers(call.name) for call in calls):
            return None
        if self.model not in asked.model or self.round not in (None, asked.rounds):
            return None
        heard = re.search(self.says, asked.text, re.IGNORECASE)
        return heard and tuple(group or "" for group in heard.groups())


class Script(BaseModel):
    """Cues in order; the first that fits and is not used up is played. Without one the answer is `ok` in the shape asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = ""
    cues: tuple[Cue, ...] = ()

    @classmethod
    def of(cls, *replies: AnyReply | str) -> Self:
        """*replies*, or faults by name, each given once and in this order."""
        return cls.model_validate({"cues": [{"reply": reply, "times": 1} for reply in replies]})

    @classmethod
    def always(cls, replies: dict[str, AnyReply | str]) -> Self:
        """For each part of a model's name the one reply that it gives."""
        return cls.model_validate({"cues": [{"reply": reply, "model": model} for model, reply in replies.items()]})


def shipped() -> tuple[str, ...]:
    """What `--play` knows: the scripts that ship, then the faults."""
    scripts = (entry.name.removesuffix(".json") for entry in files("opsroom.testing").iterdir() if entry.name.endswith(".json"))
    return (*sorted(scripts), *FAULTS)


def play_named(name: str) -> Script:
    """A script that ships, or one fault for every request. Raises ConfigError."""
    if name in FAULTS:
        return Script.always({"": name})
    if name not in shipped():
        raise ConfigError(f"nothing to play is named {name!r}; there are {', '.join(shipped())}")
    return Script.model_validate_json((files("opsroom.testing") / f"{name}.json").read_text(encoding="utf-8"))


def read_script(path: Path) -> Script:
    """The script in a .json or .toml file. Raises ConfigError."""
    try:
        if path.suffix == ".toml":
            return Script.model_validate(load_toml(path))
        return Script.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}: not valid JSON: {error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, None)}") from None
