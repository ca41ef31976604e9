"""Every fault that the scripted server plays ends in its outcome, through the real client, with and without a stream."""

import asyncio
import json

import anthropic
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opsroom.models.client import Attempt, Clients
from opsroom.models.outcome import Outcome, classify, judge
from opsroom.models.request import ModelRequest, ToolSpec
from opsroom.settings import RungSettings
from opsroom.testing import FAULTS, HangReply, MessageReply, RawReply, ScriptedAnthropic, closed_port

OUTCOMES = {
    "rate_limited": Outcome.RATE_LIMITED,
    "overloaded": Outcome.OVERLOADED,
    "server_error": Outcome.SERVER,
    "bad_request": Outcome.CLIENT_BUG,
    "prompt_too_long": Outcome.CONTEXT_EXCEEDED,
    "spend_limit": Outcome.BILLING,
    "unauthorized": Outcome.AUTH,
    "out_of_credit": Outcome.BILLING,
    "forbidden": Outcome.AUTH,
    "unknown_model": Outcome.UNKNOWN_MODEL,
    "too_large": Outcome.CONTEXT_EXCEEDED,
    "gateway_timeout": Outcome.TIMEOUT,
    "hang": Outcome.TIMEOUT,
    "hang_after_headers": Outcome.TIMEOUT,
    "hang_half_way": Outcome.TIMEOUT,
    "drip": Outcome.TIMEOUT,
    "cut": Outcome.TRANSPORT,
    "truncated": Outcome.TRUNCATED,
    "bad_json": Outcome.MALFORMED,
    "bad_body": Outcome.MALFORMED,
    "half_call": Outcome.MALFORMED,
    "html": Outcome.MALFORMED,
    "html_502": Outcome.SERVER,
    "empty": Outcome.MALFORMED,
    "refusal": Outcome.REFUSED,
    "max_tokens": Outcome.TRUNCATED,
    "context_window": Outcome.CONTEXT_EXCEEDED,
    "error_event": Outcome.OVERLOADED,
}
PATIENCE = 20
"""Seconds; far more than any answer takes, so that only what never ends runs into a limit."""
LIMITS = {
    fault: 0.4 if outcome is Outcome.TIMEOUT and fault != "gateway_timeout" else PATIENCE for fault, outcome in OUTCOMES.items()
}
TOOL = ToolSpec("run_query", "Runs a query.", {"type": "object", "properties": {"sql": {"type": "string"}}})
REQUEST = ModelRequest("You are an agent.", [{"role": "user", "content": "hi"}], tools=(TOOL,))
KEY = {"ANTHROPIC_API_KEY": "sk-ant-none"}


async def ask(url: str, *, limit: float = PATIENCE, first_token: float | None = None) -> Attempt:
    rung = RungSettings(model="claude-opus-5-5", timeout=limit, first_token=first_token, base_url=url)
    async with Clients(KEY) as clients:
        return await clients.call_rung(rung, REQUEST, until=asyncio.get_running_loop().time() + PATIENCE)


async def outcome_without_stream(url: str, *, limit: float) -> Outcome:
    params = REQUEST.params(model="claude-opus-5-5", max_tokens=100)
    async with anthropic.AsyncAnthropic(base_url=url, api_key="sk-ant-none", max_retries=0) as client:
        try:
            async with asyncio.timeout(limit):
                return judge(await client.messages.create(**params))[0]
        except (anthropic.APIError, httpx2.HTTPError, ValueError, TimeoutError) as error:
            return classify(error)[0]


def test_every_fault_has_an_expected_outcome() -> None:
    """A fault added to the server is tested here."""
    assert OUTCOMES.keys() == FAULTS.keys()


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_in_a_stream_ends_in_its_outcome(fault: str) -> None:
    """The call ends within its limit, with no part of an answer, after exactly one request."""
    with ScriptedAnthropic(fault) as server:
        attempt = await ask(server.url, limit=LIMITS[fault])

    assert attempt.outcome is OUTCOMES[fault]
    assert attempt.message is None
    assert attempt.detail
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_without_a_stream_ends_in_its_outcome(fault: str) -> None:
    """What the client raises or returns where no stream is asked for is classified alike."""
    with ScriptedAnthropic(fault) as server:
        outcome = await outcome_without_stream(server.url, limit=LIMITS[fault])

    assert outcome is OUTCOMES[fault]


async def test_a_refused_connection_is_a_transport_fault() -> None:
    """Nobody listens there."""
    with closed_port() as url:
        attempt = await ask(url)

    assert attempt.outcome is Outcome.TRANSPORT
    assert attempt.usage is None


async def test_a_slow_first_token_ends_the_call_before_its_time_limit() -> None:
    """A rung that says nothing is left long before its whole time is over."""
    with ScriptedAnthropic(MessageReply(text="late", delay=30)) as server:
        attempt = await ask(server.url, limit=PATIENCE, first_token=0.3)

    assert attempt.outcome is Outcome.TIMEOUT
    assert attempt.detail.startswith("no first token within")
    assert attempt.first_token_ms is None


async def test_a_stream_that_stalls_after_its_first_token_has_the_whole_time() -> None:
    """The first token lifts the first limit; the second one holds."""
    with ScriptedAnthropic("hang_half_way") as server:
        attempt = await ask(server.url, limit=2, first_token=1.5)

    assert attempt.outcome is Outcome.TIMEOUT
    assert attempt.detail.startswith("no complete answer within")
    assert attempt.first_token_ms is not None


async def test_a_complete_answer_counts_although_the_response_does_not_end() -> None:
    """Some gateways keep the response open behind the last event."""
    with ScriptedAnthropic(HangReply(after="end")) as server:
        attempt = await ask(server.url)

    assert attempt.outcome is Outcome.OK
    assert attempt.message is not None


async def test_a_failed_call_tells_what_it_has_cost() -> None:
    """The input of a stream that was cut is billed, so it is accounted."""
    with ScriptedAnthropic("cut") as server:
        attempt = await ask(server.url)

    assert attempt.usage is not None
    assert attempt.usage.input == 100


async def test_an_error_tells_its_request_id_and_how_long_to_wait() -> None:
    """What support and a breaker need is kept."""
    with ScriptedAnthropic("rate_limited") as server:
        attempt = await ask(server.url)

    assert (attempt.request_id, attempt.retry_after) == ("req_scripted", 600.0)


def stream_of(*events: str) -> str:
    return "".join(f"event: {event.split('|')[0]}\ndata: {event.split('|')[1]}\n\n" for event in events)


START = (
    'message_start|{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"x",'
    '"content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}'
)
STOP = (
    'message_delta|{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}',
    'message_stop|{"type":"message_stop"}',
)


@pytest.mark.parametrize(
    "body",
    [
        stream_of(*STOP),
        stream_of("message_start|{}"),
        stream_of('message_start|{"type":"message_start","message":null}'),
        stream_of('message_start|{"type":"message_start","message":{"id":"m"}}', *STOP),
        stream_of(START, 'content_block_delta|{"type":"content_block_delta","index":7,"delta":{"type":"text_delta","text":"x"}}'),
        stream_of(START, 'content_block_start|{"type":"content_block_start","index":0,"content_block":null}'),
        stream_of(START, 'content_block_delta|{"type":"content_block_delta","index":0}'),
        stream_of(START, "message_delta|[1]"),
        stream_of(START, *STOP),
        stream_of('content_block_delta|{"type":"content_block_delta","index":0}', START, *STOP),
        stream_of(START, 'content_block_start|{"type":"content_block_start","index":0,"content_block":"x"}', *STOP),
        "data: \xff\xfe\n\n" * 10,
    ],
    ids=[
        "no start",
        "start of nothing",
        "start with null",
        "start of half a message",
        "delta of a block that never began",
        "block without content",
        "delta without delta",
        "event that is a list",
        "message without content",
        "broken event before the start",
        "block that is a word",
        "no events at all",
    ],
)
async def test_events_that_make_no_message_are_malformed(body: str) -> None:
    """Whatever a broken endpoint streams, the call ends in an outcome and never in an exception."""
    with ScriptedAnthropic(RawReply(content_type="text/event-stream", body=body)) as server:
        attempt = await ask(server.url)

    assert attempt.outcome in {Outcome.MALFORMED, Outcome.TRUNCATED}
    assert attempt.message is None


FIELDS = (
    "type",
    "message",
    "index",
    "content_block",
    "delta",
    "usage",
    "content",
    "text",
    "partial_json",
    "input",
    "stop_reason",
)
KINDS = ("message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop")
WORDS = (*KINDS, "text", "tool_use", "text_delta", "input_json_delta", "thinking", "end_turn", "tool_use", "")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=6,
)
EVENTS = st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=5)).map(
    lambda event: f"{event[0]}|{json.dumps({'type': event[0]} | event[1])}"
)


# httpx2 leaves a half-read body to the garbage collector, which under load meets it while it runs
@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
@settings(max_examples=60, deadline=None, derandomize=True)
@given(events=st.lists(EVENTS, max_size=5), started=st.booleans(), stopped=st.booleans())
async def test_no_event_whatever_makes_a_call_raise(events: list[str], *, started: bool, stopped: bool) -> None:
    """The client trusts what it reads; the call does not, and always ends in an attempt."""
    body = stream_of(*((START,) if started else ()), *events, *(STOP if stopped else ()))

    with ScriptedAnthropic(RawReply(content_type="text/event-stream", body=body)) as server:
        attempt = await ask(server.url)

    assert (attempt.message is None) == (attempt.outcome is not Outcome.OK)


async def test_an_answer_without_end_is_cut_off() -> None:
    """An endpoint gone wild cannot fill the memory."""
    with ScriptedAnthropic(RawReply(content_type="text/event-stream", body=f": {'x' * 10_000}\n" * 900)) as server:
        attempt = await ask(server.url)

    assert attempt.outcome is Outcome.MALFORMED
    assert "8,000,000 bytes" in attempt.detail
