"""Asks a person, through the client, whether something may be done; both eras of the protocol, and never assumed."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from fastmcp import Context
from mcp.types import (
    ClientCapabilities,
    ElicitationCapability,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
)
from pydantic import BaseModel, Field, create_model

from .errors import Conflict, NotPermitted

_FIRST_MODERN = "2026-07-28"
_QUESTION = "approval"
_MOST_OPEN = 1_000
_VALID_SECONDS = 900.0


@dataclass(frozen=True)
class Question:
    """What a person is asked. Everything in `confirms` (a name, and what is confirmed) has to be said yes to."""

    message: str
    confirms: Mapping[str, str]


@dataclass
class Approvals:
    """Questions that were put to a person and not answered yet. Each answer counts once, and for what was asked alone."""

    _open: dict[str, tuple[float, str, object]] = field(default_factory=dict[str, tuple[float, str, object]])

    def asked(self, subject: str, plan: object) -> str:
        """The handle of a question about *subject*; *plan* is given back with the answer."""
        now = time.monotonic()
        self._open = {key: each for key, each in self._open.items() if now - each[0] < _VALID_SECONDS}
        while len(self._open) >= _MOST_OPEN:
            self._open.pop(next(iter(self._open)))
        handle = secrets.token_urlsafe(16)
        self._open[handle] = (now, subject, plan)
        return handle

    def answered(self, handle: str | None, subject: str) -> object:
        """The plan of a question that is answered now. Raises Conflict for one that was not asked, or not about *subject*."""
        begun, about, plan = self._open.pop(handle or "", (0.0, "", None))
        if about != subject or time.monotonic() - begun >= _VALID_SECONDS:
            raise Conflict("The approval is not for this call, was used already, or is too old. Call again to be asked anew.")
        return plan


def check_can_ask(context: Context, otherwise: str) -> None:
    """Raises NotPermitted, with *otherwise* to say what a person can do instead, where the client cannot ask."""
    if not context.session.check_client_capability(ClientCapabilities(elicitation=ElicitationCapability())):
        raise NotPermitted(f"This client cannot ask a person for approval, so nothing was done. {otherwise}")


def is_answer(context: Context) -> bool:
    """Whether this call is the second round, which brings the answer of a person."""
    return context.input_responses is not None


def question(question: Question, handle: str) -> InputRequiredResult:
    """What a tool returns in the modern era to have *question* asked; the client then repeats the call."""
    schema = _form(question).model_json_schema()
    ask = ElicitRequest(
        method="elicitation/create", params=ElicitRequestFormParams(message=question.message, requested_schema=schema)
    )
    return InputRequiredResult(result_type="input_required", request_state=handle, input_requests={_QUESTION: ask})


def is_modern(context: Context) -> bool:
    request = context.request_context
    return request is not None and request.protocol_version >= _FIRST_MODERN


async def check_said_yes(context: Context, asked: Question) -> None:
    """Asks in the legacy era, or reads the answer in the modern one. Raises NotPermitted unless everything was confirmed."""
    if is_answer(context):
        reply: object = (context.input_responses or {}).get(_QUESTION)
        action, content = getattr(reply, "action", None), getattr(reply, "content", None)
    else:
        given = await context.elicit(asked.message, response_type=_form(asked))
        action, data = given.action, getattr(given, "data", None)
        content = data.model_dump() if isinstance(data, BaseModel) else None
    if action != "accept":
        raise NotPermitted(
            f"The person did not approve it ({'declined' if action == 'decline' else 'no answer'}). Nothing was done."
        )
    confirmed = cast("Mapping[str, object]", content or {})
    if missing := [words for name, words in asked.confirms.items() if confirmed.get(name) is not True]:
        raise NotPermitted(f"The person did not confirm: {'; '.join(missing)}. Nothing was done.")


def _form(asked: Question) -> type[BaseModel]:
    fields = {name: (bool, Field(title=words, description=words)) for name, words in asked.confirms.items()}
    return create_model("Approval", **fields)  # pyright: ignore[reportCallIssue, reportArgumentType, reportUnknownVariableType] - made of names
