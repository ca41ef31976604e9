"""Labelled requests: the package's own, or a file of one's own in the same form."""

import hashlib
from pathlib import Path
from typing import Literal, TypeAlias

from opsroom_shared.config import explain
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from opsroom.errors import UsageError

FOLDER = Path(__file__).parent
DEV = FOLDER / "dev.jsonl"
TRAIN = FOLDER / "train.jsonl"

_MOST_CASES = 100_000
_MOST_BYTES = 100_000_000

Want: TypeAlias = Literal["single", "multi", "clarify", "out_of_scope"]
"""What a request needs: one agent, several, a question back, or a refusal."""


class _Line(BaseModel):
    """A line as it stands in a file; fields that only describe it are passed over."""

    model_config = ConfigDict(frozen=True)

    id: str | int | None = None
    text: str = Field(min_length=1, max_length=20_000)
    label: str = Field(min_length=1)
    kind: str | None = None
    tier: str | None = None
    agents: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> "_Line":
        if not self.text.strip():
            raise ValueError("`text` is blank")
        if self.label == "multi" and len(set(self.agents)) < 2:
            raise ValueError("a `multi` line needs two or more `agents`")
        return self


class Case(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str
    text: str
    want: Want
    agents: tuple[str, ...]
    tier: str | None = None

    @property
    def expected(self) -> str:
        """The row of the confusion table."""
        return self.agents[0] if self.want == "single" else self.want


class CaseSet(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    cases: tuple[Case, ...]
    digest: str
    """SHA-256 of the file, so that figures are compared on the same data only."""


def load_cases(path: Path = DEV) -> CaseSet:
    """Raises UsageError naming the file and the line."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path}: larger than {_MOST_BYTES // 1_000_000} MB; split it")
        raw = path.read_bytes()
        lines = raw.decode("utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8 text") from None
    if len(lines) > _MOST_CASES:
        raise UsageError(f"{path}: has {len(lines):,} lines, at most {_MOST_CASES:,} are read; split it")
    cases = tuple(_case(path, number, line) for number, line in enumerate(lines, 1) if line.strip())
    if not cases:
        raise UsageError(f"{path}: has no requests")
    return CaseSet(name=path.name, cases=cases, digest=hashlib.sha256(raw).hexdigest())


def _case(path: Path, number: int, text: str) -> Case:
    try:
        line = _Line.model_validate_json(text)
    except ValidationError as error:
        raise UsageError(f"{path}:{number}: {explain(error, None).removeprefix(': ')}") from None
    return Case(
        id=f"{path.stem}:{number}" if line.id is None else str(line.id),
        text=line.text,
        want=_want(line),
        agents=line.agents if line.label == "multi" else () if _want(line) != "single" else (line.label,),
        tier=line.tier,
    )


def _want(line: _Line) -> Want:
    if line.label == "multi":
        return "multi"
    if line.label in ("clarify", "out_of_scope"):
        return line.label
    if line.label != "none":
        return "single"
    return "clarify" if line.kind == "ambiguous" else "out_of_scope"
