"""The settings of the code review server: which systems, what may be sent to them, and whose words are trusted."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from opsroom_shared.settings import ServerSettings
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict
from typing_extensions import override

from .models import ProviderKind

InlineMode = Literal["auto", "summary", "draft", "lint", "legacy"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


class ProviderSettings(BaseModel):
    """One system, seen through one account."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ProviderKind = Field(description="phabricator (Phorge, too), github, gitlab or local.")
    url: str | None = Field(default=None, description="Its address, such as https://phorge.example or https://gitlab.example.")
    token: SecretStr | None = Field(default=None, description="The API token of the account.")
    path: Path | None = Field(default=None, description="The git repository of a local provider.")
    repositories: tuple[str, ...] = Field(default=(), description="The only repositories to show and change; globs. Empty: all.")
    projects: tuple[str, ...] = Field(
        default=(), description="The only projects whose tasks to show and change; globs. Empty: all."
    )
    trusted: tuple[str, ...] = Field(default=(), description="User names whose words are trusted.")
    trusted_groups: tuple[str, ...] = Field(default=(), description="Projects, teams or groups whose members' words are trusted.")
    inline: InlineMode = Field(
        default="auto",
        description="How Phabricator gets inline comments: in the summary, as drafts, as lint results, or the legacy way.",
    )


class CodeReviewSettings(ServerSettings):
    """The settings of DESIGN 3.1, the systems, and what may be sent to them."""

    model_config = SettingsConfigDict(env_prefix="OPSROOM_CODE_REVIEW_", env_nested_delimiter="__")
    name: ClassVar[str] = "code_review"

    providers: dict[str, ProviderSettings] = Field(default_factory=dict, description="The systems by name.")
    allow_accept: bool = Field(default=False, description="With allow_writes, let submit_review accept changes.")
    accept_needs_reading: bool = Field(
        default=True, description="Accept a version only after read_diff has shown all of it in this process."
    )
    allow_mentions: bool = Field(
        default=False, description="Send mentions, closing words and commands in texts as they are, so that they act."
    )
    strict: bool = Field(default=False, description="Withhold what people wrote who are not trusted.")
    request_seconds: float = Field(default=20.0, gt=0, le=300, description="Time after which a call of a system is given up.")

    @field_validator("providers")
    @classmethod
    def _names(cls, value: dict[str, ProviderSettings]) -> dict[str, ProviderSettings]:
        for name in value:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name for a provider: letters, digits, _ . - and at most 64 of them")
        return value


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repo",
        dest="providers",
        metavar="PATH",
        action=_AddRepository,
        help="a git repository to review in; repeatable. Its folder's name is the name of the system",
    )


class _AddRepository(argparse.Action):
    """Collects paths into the `providers` setting."""

    @override
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        path = Path(str(values)).expanduser().absolute()
        stem = re.sub(r"[^A-Za-z0-9_.-]", "_", path.name)
        name = stem if _NAME.fullmatch(stem) else "local"
        providers: dict[str, dict[str, str]] = getattr(namespace, self.dest, {})
        if name in providers:
            raise argparse.ArgumentError(self, f"two repositories are named {name}; give them names in the file of --config")
        setattr(namespace, self.dest, {**providers, name: {"kind": "local", "path": str(path)}})
