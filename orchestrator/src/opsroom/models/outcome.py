"""How a call to a model can end, what the chain does then, and how an error or an answer is told apart."""

import asyncio
import json
from enum import StrEnum
from types import MappingProxyType
from typing import cast

import httpx2
from opsroom_shared.redact import redact
from pydantic import ValidationError

MAX_DETAIL = 300


class Outcome(StrEnum):
    OK = "ok"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    SERVER = "server"
    TIMEOUT = "timeout"
    TRANSPORT = "transport"
    MALFORMED = "malformed"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    CONTEXT_EXCEEDED = "context_exceeded"
    UNKNOWN_MODEL = "unknown_model"
    CLIENT_BUG = "client_bug"
    AUTH = "auth"
    BILLING = "billing"
    CANCELLED = "cancelled"


class Step(StrEnum):
    """What the chain does after an outcome."""

    ANSWER = "answer"
    NEXT = "next"
    """Ask the next rung."""
    NEXT_KEY = "next_key"
    """Rungs with the same endpoint and key would fail alike: ask the next rung that has another one, if there is any."""
    STOP = "stop"
    """Every rung would fail alike, or nobody wants the answer any more."""


POLICY = MappingProxyType(
    {
        Outcome.OK: Step.ANSWER,
        Outcome.RATE_LIMITED: Step.NEXT,
        Outcome.OVERLOADED: Step.NEXT,
        Outcome.SERVER: Step.NEXT,
        Outcome.TIMEOUT: Step.NEXT,
        Outcome.TRANSPORT: Step.NEXT,
        Outcome.MALFORMED: Step.NEXT,
        Outcome.TRUNCATED: Step.NEXT,
        Outcome.REFUSED: Step.NEXT,
        # the next rung has a smaller prompt, and may have a larger window
        Outcome.CONTEXT_EXCEEDED: Step.NEXT,
        Outcome.UNKNOWN_MODEL: Step.NEXT,
        Outcome.CLIENT_BUG: Step.STOP,
        Outcome.AUTH: Step.NEXT_KEY,
        Outcome.BILLING: Step.NEXT_KEY,
        Outcome.CANCELLED: Step.STOP,
    }
)
"""The one place that says what follows an outcome."""

_BY_TYPE = MappingProxyType(
    {
        "rate_limit_error": Outcome.RATE_LIMITED,
        "overloaded_error": Outcome.OVERLOADED,
        "api_error": Outcome.SERVER,
        "timeout_error": Outcome.TIMEOUT,
        "conflict_error": Outcome.SERVER,
        "authentication_error": Outcome.AUTH,
        "permission_error": Outcome.AUTH,
        "billing_error": Outcome.BILLING,
        "not_found_error": Outcome.UNKNOWN_MODEL,
        "request_too_large": Outcome.CONTEXT_EXCEEDED,
        "invalid_request_error": Outcome.CLIENT_BUG,
    }
)
_BY_STATUS = MappingProxyType(
    {
        401: Outcome.AUTH,
        402: Outcome.BILLING,
        403: Outcome.AUTH,
        404: Outcome.UNKNOWN_MODEL,
        408: Outcome.TIMEOUT,
        409: Outcome.SERVER,
        413: Outcome.CONTEXT_EXCEEDED,
        429: Outcome.RATE_LIMITED,
        499: Outcome.TRANSPORT,
        504: Outcome.TIMEOUT,
        529: Outcome.OVERLOADED,
    }
)
# The API has no type of its own for these two: it sends invalid_request_error, and only the words differ.
_BY_WORDS = (
    ("prompt is too long", Outcome.CONTEXT_EXCEEDED),
    ("exceed context limit", Outcome.CONTEXT_EXCEEDED),
    ("credit balance is too low", Outcome.BILLING),
)
_BY_STOP_REASON = MappingProxyType(
    {
        "end_turn": Outcome.OK,
        "stop_sequence": Outcome.OK,
        "tool_use": Outcome.OK,
        "max_tokens": Outcome.TRUNCATED,
        # asks to be continued, which only tools that run at the provider need; none are offered
        "pause_turn": Outcome.TRUNCATED,
        "refusal": Outcome.REFUSED,
        "model_context_window_exceeded": Outcome.CONTEXT_EXCEEDED,
    }
)


class Garbled(Exception):
    """The answer's events or blocks do not fit together."""


def classify(error: BaseException) -> tuple[Outcome, str]:
    """The outcome that *error* stands for, with one short line on it, free of secrets."""
    if isinstance(error, asyncio.CancelledError):
        return Outcome.CANCELLED, "cancelled"
    return _outcome_of_error(error), _brief(error)


def retry_after(error: BaseException) -> float | None:
    """The seconds that the provider asks to wait, from the header in its plain form."""
    import anthropic

    if not isinstance(error, anthropic.APIStatusError):
        return None
    try:
        seconds = float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def judge(answer: object) -> tuple[Outcome, str]:
    """Whether *answer*, as the client returned it, is one: a Message that says why it stopped and holds something."""
    from anthropic.types import Message

    if not isinstance(answer, Message):
        return Outcome.MALFORMED, f"the answer is no message but {type(answer).__name__}"
    # Nothing is validated by the client: `{}` under HTTP 200 is a Message whose fields are None.
    content: object = getattr(answer, "content", None)
    reason: object = getattr(answer, "stop_reason", None)
    if not isinstance(content, list) or getattr(answer, "usage", None) is None:
        return Outcome.MALFORMED, "the message has no content or no usage"
    if reason is None:
        return Outcome.TRUNCATED, "the answer ends without a stop reason"
    outcome = _BY_STOP_REASON.get(str(reason), Outcome.MALFORMED)
    if outcome is Outcome.OK:
        fault = _fault_of_blocks(cast("list[object]", content), str(reason))
        return (Outcome.MALFORMED, fault) if fault else (Outcome.OK, "")
    category: object = getattr(getattr(answer, "stop_details", None), "category", None)
    return outcome, f"stop reason {str(reason)[:40]}" + (f" ({str(category)[:40]})" if category else "")


def _fault_of_blocks(blocks: list[object], reason: str) -> str | None:
    from anthropic.types import TextBlock, ToolUseBlock

    calls = [block for block in blocks if isinstance(block, ToolUseBlock)]
    if reason == "tool_use" and not calls:
        return "stop reason tool_use without a tool call"
    for call in calls:
        parts: tuple[object, object, object] = (call.id, call.name, call.input)
        match parts:
            case (str(identity), str(name), dict()) if identity and name:
                continue
            case _:
                return "a tool call without id, name or input object"
    if not calls and not any(isinstance(block, TextBlock) and block.text for block in blocks):
        return "an empty answer"
    return None


def _outcome_of_error(error: BaseException) -> Outcome:
    import anthropic

    match error:
        case anthropic.APIStatusError():
            return _outcome_of_status(error.type, error.status_code, error.api_message or "")
        case anthropic.APITimeoutError() | httpx2.TimeoutException() | TimeoutError():
            return Outcome.TIMEOUT
        case anthropic.APIResponseValidationError() | json.JSONDecodeError() | ValidationError() | Garbled():
            return Outcome.MALFORMED
        case anthropic.APIConnectionError() | httpx2.HTTPError() | httpx2.InvalidURL() | OSError() | ImportError():
            return Outcome.TRANSPORT
        case _:
            return Outcome.CLIENT_BUG


def _outcome_of_status(kind: str | None, status: int, message: str) -> Outcome:
    outcome = _BY_TYPE.get(kind or "") or _BY_STATUS.get(status)
    if outcome is Outcome.CLIENT_BUG or (outcome is None and 400 <= status < 500):
        words = message.lower()
        return next((found for part, found in _BY_WORDS if part in words), Outcome.CLIENT_BUG)
    # Any other status, 200 included: an `error` event comes in a stream that began well.
    return outcome or Outcome.SERVER


def _brief(error: BaseException) -> str:
    import anthropic

    if isinstance(error, anthropic.APIStatusError):
        # an `error` event in a stream has the status that the stream began with
        status = f"{error.status_code} " if error.status_code >= 400 else ""
        text = f"{status}{error.type or type(error).__name__}: {error.api_message or error.message}"
    elif isinstance(error, anthropic.APIConnectionError) and error.__cause__:
        text = f"{type(error.__cause__).__name__}: {error.__cause__}"
    else:
        text = f"{type(error).__name__}: {error}"
    # a proxy's HTML page can be long; what is cut off here is far beyond what is shown
    return redact(" ".join(text[:20_000].split()))[:MAX_DETAIL]
