"""Deployments, from the `deployment_history` tool of the deployments server or of one that answers alike."""

from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING

from opsroom_shared.errors import ToolFailure, Unavailable
from opsroom_shared.outside import clean
from opsroom_shared.redact import redact
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from ...models import DeploymentMark
from ...series import Window
from ...settings import McpChanges
from .marks import MAX_MARKS, asked_for, mark
from .mcp_link import McpLink

if TYPE_CHECKING:
    from mcp.types import CallToolResult

TOOL = "deployment_history"
_PAGE = 100


class _Change(BaseModel):
    model_config = ConfigDict(extra="ignore")

    at: AwareDatetime
    service: str
    environment: str | None = None
    action: str | None = None
    outcome: str | None = None
    after: str | None = None
    by: str | None = None
    deployment_id: str | None = None


class _Page(BaseModel):
    model_config = ConfigDict(extra="ignore")

    changes: list[_Change] = Field(max_length=1_000)
    next_cursor: str | None = None


class McpHistory:
    """Connects to nothing before the first question."""

    def __init__(self, name: str, settings: McpChanges) -> None:
        self._name = name
        self._link = McpLink(name, settings)

    @property
    def name(self) -> str:
        return self._name

    async def ready(self) -> str | None:
        try:
            tools = await self._link.tools()
        except ToolFailure as failure:
            return str(failure)
        return None if TOOL in tools else f"{self._name} has no tool {TOOL}"

    async def aclose(self) -> None:
        await self._link.aclose()

    async def changes(self, window: Window, service: str | None) -> Sequence[DeploymentMark]:
        asked: dict[str, JsonValue] = {"since": window.start.isoformat(), "until": window.end.isoformat(), "limit": _PAGE}
        if service:
            asked["service"] = service
        found: list[_Change] = []
        for _ in range(MAX_MARKS // _PAGE):
            page = self._page(await self._link.call(TOOL, asked))
            found += page.changes
            if page.next_cursor is None or not page.changes:
                break
            asked["cursor"] = page.next_cursor
        return asked_for((self._mark(each) for each in found), window, service)

    def _page(self, result: "CallToolResult") -> _Page:
        if result.is_error:
            words = " ".join(block.text for block in result.content if block.type == "text")
            raise Unavailable(f"{self._name} did not tell its history: {redact(clean(words, 300))}")
        try:
            return _Page.model_validate(result.structured_content)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise Unavailable(f"{self._name} told its history in another form ({where}: {first['msg']}).") from None

    def _mark(self, change: _Change) -> DeploymentMark:
        other = change.action and change.action != "deploy"
        return mark(
            self._name,
            change.at.astimezone(UTC),
            change.service,
            environment=change.environment,
            release=change.after,
            outcome=f"{change.action} {change.outcome}" if other else change.outcome,
            by=change.by,
            deployment_id=change.deployment_id,
        )
