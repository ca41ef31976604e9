"""The agents' system prompts: one Markdown file per version, with front matter and a section per variant."""

import hashlib
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, get_args

from opsroom_shared.config import ConfigError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .definition import Variant

SHIPPED = Path(__file__).parent / "prompts"
VARIANTS: Final[tuple[Variant, ...]] = get_args(Variant)
TOKEN_LIMITS: Final[dict[Variant, int]] = {"full": 900, "simplified": 350, "minimal": 120}
"""What the shipped prompts keep to."""
MAX_TOKENS = 2_000
"""What no system prompt may pass."""
MAX_FILE_BYTES = 64_000


class FrontMatter(BaseModel):
    """What a version says about itself; the changelog line is shown by `opsroom prompts list`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(ge=1, le=9_999)
    models: str = Field(
        min_length=1, max_length=300, description="Model families it was written for, and what to know about them."
    )
    changes: str = Field(min_length=1, max_length=300, description="One changelog line.")


@dataclass(frozen=True)
class Prompt:
    agent: str
    version: int
    variant: Variant
    text: str

    @property
    def digest(self) -> str:
        """Names the text itself, so that a prompt edited in place shows in the ledger."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    @property
    def tokens(self) -> int:
        """An estimate: no tokenizer is at hand, and 3.5 characters a token errs on the side of too many."""
        return math.ceil(len(self.text) / 3.5)


def load_prompt(agent: str, variant: Variant, version: int | None = None, *, extra: Path | None = None) -> Prompt:
    """The prompt of *agent*, the newest version if none is named; *extra* is the workspace's `agents.d`. Raises ConfigError."""
    known = prompt_versions(agent, extra=extra)
    if not known:
        raise ConfigError(
            f"{(extra or SHIPPED.parent) / 'prompts' / agent / '1.md'}: no such file; the agent {agent} needs a prompt"
        )
    chosen = max(known) if version is None else version
    if chosen not in known:
        raise ConfigError(f"{agent}@{chosen}: no such prompt; there are {', '.join(f'{agent}@{number}' for number in known)}")
    _, sections = _read(known[chosen])
    return Prompt(agent, chosen, variant, sections[variant])


def prompt_versions(agent: str, *, extra: Path | None = None) -> dict[int, Path]:
    """The files of *agent*'s prompt by version, oldest first."""
    if not re.fullmatch(r"\w+", agent):  # it becomes a folder's name
        return {}
    folders = [SHIPPED / agent, *([extra / "prompts" / agent] if extra else [])]
    paths = {
        int(path.stem): path for folder in folders for path in folder.glob("*.md") if re.fullmatch(r"[1-9]\d{0,3}", path.stem)
    }
    return dict(sorted(paths.items()))


def front_matter(path: Path) -> FrontMatter:
    """What the version in the file *path* says about itself. Raises ConfigError."""
    return _read(path)[0]


def lint_prompt(prompt: Prompt, names: Collection[str], limit: int = MAX_TOKENS) -> tuple[str, ...]:
    """What is wrong with *prompt*: its size, and each tool-like name in it that is not among *names*."""
    problems = [f"{prompt.tokens} tokens, over {limit}"] if prompt.tokens > limit else []
    unknown = sorted(set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", prompt.text)) - set(names))
    return (*problems, *(f"names {name}, which does not exist" for name in unknown))


@lru_cache(maxsize=64)
def _parsed(path: Path, _changed: tuple[int, int]) -> tuple[FrontMatter, dict[Variant, str]]:
    text = path.read_text(encoding="utf-8")
    parts = re.match(r"---\n(.*?)\n---\n(.*)\Z", text, re.DOTALL)
    if parts is None:
        raise ConfigError(f"{path}:1: expected front matter between two lines of ---")
    return _front(path, parts[1]), _sections(path, parts[2])


def _read(path: Path) -> tuple[FrontMatter, dict[Variant, str]]:
    try:
        state = path.stat()
        if state.st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES:,} bytes")
        return _parsed(path, (state.st_mtime_ns, state.st_size))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None


def _front(path: Path, block: str) -> FrontMatter:
    pairs: dict[str, str] = {}
    for number, line in enumerate(block.splitlines(), 2):
        key, colon, value = line.partition(":")
        if not colon:
            raise ConfigError(f"{path}:{number}: expected `key: value`")
        pairs[key.strip()] = value.strip()
    try:
        front = FrontMatter.model_validate(pairs)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {key}: {first['msg']}; expected the keys version, models and changes") from None
    if str(front.version) != path.stem:
        raise ConfigError(f"{path}: version: expected the name of the file, {path.stem} (got {front.version})")
    return front


def _sections(path: Path, body: str) -> dict[Variant, str]:
    sections: dict[Variant, str] = {}
    for variant, text in re.findall(r"^# (\w+)[ \t]*\n(.*?)(?=^# |\Z)", body, re.DOTALL | re.MULTILINE):
        if variant not in VARIANTS:
            raise ConfigError(f"{path}: # {variant}: expected the sections {', '.join(VARIANTS)}")
        if variant in sections:
            raise ConfigError(f"{path}: # {variant}: stands twice")
        sections[variant] = text.strip()
    for variant in VARIANTS:
        if not sections.get(variant):
            raise ConfigError(f"{path}: expected a section `# {variant}`")
    return sections
