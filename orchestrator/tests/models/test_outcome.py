"""The outcome of an error and of a message, apart from any call."""

import asyncio
import json
from typing import TYPE_CHECKING

import anthropic
import httpx2
import pytest
from anthropic.types import Message
from opsroom.models.outcome import MAX_DETAIL, POLICY, Garbled, Outcome, Step, classify, judge, retry_after

if TYPE_CHECKING:
    from pydantic import JsonValue


def status_error(status: int, kind: str | None = None, message: str = "", **headers: str) -> anthropic.APIStatusError:
    body = {"type": "error", "error": {"type": kind, "message": message}} if kind else "<html>"
    response = httpx2.Response(status, headers=headers, request=httpx2.Request("POST", "http://api/v1/messages"))
    return anthropic.APIStatusError("said", response=response, body=body)


def message(**changes: "JsonValue") -> Message:
    fields: dict[str, JsonValue] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-5",
        "content": [{"type": "text", "text": "42"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    return Message.model_validate(fields | changes)


def unchecked(**changes: "JsonValue") -> Message:
    """A message as the client makes it: from whatever came."""
    return Message.construct(None, **(message().to_dict() | changes))


def test_every_outcome_has_a_policy() -> None:
    """No outcome is left to chance, and only a valid answer ends the chain as one."""
    answers = [outcome for outcome, step in POLICY.items() if step is Step.ANSWER]

    assert set(POLICY) == set(Outcome)
    assert answers == [Outcome.OK]


@pytest.mark.parametrize(
    ("status", "kind", "outcome"),
    [
        (400, "invalid_request_error", Outcome.CLIENT_BUG),
        (400, "billing_error", Outcome.BILLING),
        (401, "authentication_error", Outcome.AUTH),
        (402, "billing_error", Outcome.BILLING),
        (403, "permission_error", Outcome.AUTH),
        (404, "not_found_error", Outcome.UNKNOWN_MODEL),
        (413, "request_too_large", Outcome.CONTEXT_EXCEEDED),
        (429, "rate_limit_error", Outcome.RATE_LIMITED),
        (500, "api_error", Outcome.SERVER),
        (529, "overloaded_error", Outcome.OVERLOADED),
        # an error event in a stream that began with 200
        (200, "overloaded_error", Outcome.OVERLOADED),
        (200, "rate_limit_error", Outcome.RATE_LIMITED),
        (200, "api_error", Outcome.SERVER),
        # the type is right where a gateway changed the status
        (500, "overloaded_error", Outcome.OVERLOADED),
        (400, "rate_limit_error", Outcome.RATE_LIMITED),
        # a type of tomorrow
        (503, "maintenance_error", Outcome.SERVER),
        (418, "teapot_error", Outcome.CLIENT_BUG),
        # no type at all: a proxy's page
        (401, None, Outcome.AUTH),
        (402, None, Outcome.BILLING),
        (403, None, Outcome.AUTH),
        (404, None, Outcome.UNKNOWN_MODEL),
        (408, None, Outcome.TIMEOUT),
        (409, None, Outcome.SERVER),
        (413, None, Outcome.CONTEXT_EXCEEDED),
        (422, None, Outcome.CLIENT_BUG),
        (429, None, Outcome.RATE_LIMITED),
        (502, None, Outcome.SERVER),
        (503, None, Outcome.SERVER),
        (504, None, Outcome.TIMEOUT),
        (529, None, Outcome.OVERLOADED),
    ],
)
def test_an_api_error_is_classified_by_its_type_and_then_by_its_status(status: int, kind: str | None, outcome: Outcome) -> None:
    """The body's type decides; without a known one the status does."""
    found, _ = classify(status_error(status, kind))

    assert found is outcome


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("prompt is too long: 201000 tokens > 200000 maximum", Outcome.CONTEXT_EXCEEDED),
        ("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", Outcome.CONTEXT_EXCEEDED),
        ("Your credit balance is too low to access the Anthropic API.", Outcome.BILLING),
        ("tools.0.name: string does not match", Outcome.CLIENT_BUG),
    ],
)
def test_an_invalid_request_is_told_apart_by_its_words(text: str, outcome: Outcome) -> None:
    """A prompt that is too long and an empty account come as invalid requests, and are none."""
    found, detail = classify(status_error(400, "invalid_request_error", text))

    assert found is outcome
    assert text in detail


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (asyncio.CancelledError(), Outcome.CANCELLED),
        (TimeoutError(), Outcome.TIMEOUT),
        (anthropic.APITimeoutError(httpx2.Request("POST", "http://api")), Outcome.TIMEOUT),
        (httpx2.ReadTimeout("slow"), Outcome.TIMEOUT),
        (anthropic.APIConnectionError(request=httpx2.Request("POST", "http://api")), Outcome.TRANSPORT),
        (httpx2.RemoteProtocolError("cut"), Outcome.TRANSPORT),
        (httpx2.InvalidURL("no port"), Outcome.TRANSPORT),
        (FileNotFoundError("no such certificate file"), Outcome.TRANSPORT),
        (json.JSONDecodeError("bad", "{", 1), Outcome.MALFORMED),
        (Garbled("no message"), Outcome.MALFORMED),
        (TypeError("not serializable"), Outcome.CLIENT_BUG),
        (ValueError("bad argument"), Outcome.CLIENT_BUG),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_errors_are_classified_by_their_kind(error: BaseException, outcome: Outcome) -> None:
    """What the client and the transport raise has an outcome each."""
    found, detail = classify(error)

    assert found is outcome
    assert detail


def test_the_detail_holds_no_secret_and_is_short() -> None:
    """An error that echoes the key, in a body without end, makes one short redacted line."""
    _, detail = classify(status_error(401, "authentication_error", "bad key sk-ant-api03-abcdefgh12345678\n" + "x" * 100_000))

    assert "abcdefgh12345678" not in detail
    assert "\n" not in detail
    assert len(detail) <= MAX_DETAIL


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3.0), ("0.5", 0.5), ("600", 600.0), ("-1", None), ("inf", None), ("nan", None), ("soon", None)]
)
def test_retry_after_is_read_where_it_is_a_number_of_seconds(header: str, seconds: float | None) -> None:
    """A header that says nothing sensible is no wish at all."""
    found = retry_after(status_error(429, "rate_limit_error", **{"retry-after": header}))

    assert found == seconds


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("end_turn", Outcome.OK),
        ("stop_sequence", Outcome.OK),
        ("max_tokens", Outcome.TRUNCATED),
        ("pause_turn", Outcome.TRUNCATED),
        ("refusal", Outcome.REFUSED),
        ("model_context_window_exceeded", Outcome.CONTEXT_EXCEEDED),
        (None, Outcome.TRUNCATED),
    ],
)
def test_a_message_is_judged_by_its_stop_reason(reason: str | None, outcome: Outcome) -> None:
    """Only a message that stopped by itself is an answer."""
    found, _ = judge(message(stop_reason=reason))

    assert found is outcome


CALL: dict[str, "JsonValue"] = {"type": "tool_use", "id": "toolu_1", "name": "run_query", "input": {"sql": "select 1"}}


def test_a_tool_call_is_an_answer() -> None:
    """A message that only calls a tool is complete."""
    found = judge(message(content=[CALL], stop_reason="tool_use"))

    assert found == (Outcome.OK, "")


@pytest.mark.parametrize(
    "answer",
    [
        "<html>",
        None,
        Message.construct(),
        Message.construct(content=[], stop_reason="end_turn", usage=None),
        message(content=[]),
        message(content=[{"type": "text", "text": ""}]),
        message(stop_reason="tool_use"),
        message(content=[CALL | {"id": ""}], stop_reason="tool_use"),
        message(content=[CALL | {"name": ""}], stop_reason="tool_use"),
        unchecked(content=[CALL | {"input": "select 1"}], stop_reason="tool_use"),
        unchecked(stop_reason="out_of_coffee"),
    ],
    ids=[
        "text instead of a message",
        "nothing",
        "every field missing",
        "no usage",
        "no content",
        "empty text",
        "tool_use without a call",
        "call without id",
        "call without name",
        "call whose input is no object",
        "unknown stop reason",
    ],
)
def test_what_is_no_usable_message_is_malformed(answer: object) -> None:
    """The client hands on whatever came under HTTP 200; none of it passes for an answer."""
    found, detail = judge(answer)

    assert found is Outcome.MALFORMED
    assert detail
