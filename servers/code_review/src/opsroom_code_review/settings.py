"""The settings of the code review server: which systems, what may be sent to them, and whose words are trusted."""

import re
from pathlib import Path
from typing import ClassVar, Literal

from opsroom_shared.settings import ServerSettings
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

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
