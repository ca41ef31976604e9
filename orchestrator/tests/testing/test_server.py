"""The scripted server on its socket, through the real client."""

import asyncio
import json
import socket

import anthropic
import httpx2
import pytest
from anthropic.types import Message, MessageParam, ToolParam
from opsroom.testing import Cue, MessageReply, RawReply, Script, ScriptedAnthropic, StructuredReply, Tokens, ToolCall, closed_port

HELLO: list[MessageParam] = [{"role": "user", "content": "hello"}]
TOOL: ToolParam = {
    "name": "run_query",
    "input_schema": {"type": "object", "properties": {"sql": {"type": "string"}}, "required": ["sql"]},
}


def client(server: ScriptedAnthropic) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=server.url, api_key="sk-ant-none", max_retries=0)


async def say(server: ScriptedAnthropic, text: str = "hello", model: str = "claude-opus-5-5") -> Message:
    async with client(server) as api:
        return await api.messages.create(model=model, max_tokens=100, messages=[{"role": "user", "content": text}], tools=[TOOL])


def words(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


async def test_a_stream_and_a_plain_answer_say_the_same() -> None:
    """Text in several pieces, tool calls, stop reason and usage arrive alike."""
    usage = Tokens(input_tokens=9, output_tokens=4, cache_read_input_tokens=2)
    calls = (ToolCall(name="run_query", input={"sql": 'select "ä\\n" from t'}), ToolCall(name="run_query"))
    reply = MessageReply(text="A sentence of some length, so that it comes in pieces — ünïcode too.", calls=calls, usage=usage)

    with ScriptedAnthropic(Script.of(reply, reply)) as server:
        async with client(server) as api:
            plain = await api.messages.create(model="m", max_tokens=100, messages=HELLO, tools=[TOOL])
            async with api.messages.stream(model="m", max_tokens=100, messages=HELLO, tools=[TOOL]) as stream:
                streamed = await stream.get_final_message()

    def comparable(message: Message) -> object:
        dumped = message.to_dict()
        content = [block.to_dict() | {"id": "", "parsed_output": None} for block in message.content]
        return {**dumped, "id": "", "content": content}

    assert comparable(streamed) == comparable(plain)
    assert plain.stop_reason == "tool_use"
    assert plain.usage.cache_read_input_tokens == 2


async def test_replies_are_given_in_order_and_then_the_default() -> None:
    """A list of replies is a queue; after its end the answer is ok."""
    with ScriptedAnthropic(Script.of(MessageReply(text="one"), MessageReply(text="two"))) as server:
        said = [words(await say(server)) for _ in range(3)]

    assert said == ["one", "two", "ok"]


async def test_a_cue_is_used_up_after_its_times() -> None:
    """The first two calls of one model fail, the third does not; other models never do."""
    script = Script(cues=(Cue(reply="overloaded", model="opus", times=2),))  # pyright: ignore[reportArgumentType] -- by name

    with ScriptedAnthropic(script) as server:
        for _ in range(2):
            with pytest.raises(anthropic.InternalServerError):
                await say(server)
        third, other = await say(server), await say(server, model="claude-haiku-5-5")

    assert (words(third), words(other)) == ("ok", "ok")


async def test_placeholders_bring_the_results_of_tools_into_the_answer() -> None:
    """A scripted final answer can rest on what the tools really said."""
    conversation: list[MessageParam] = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "run_query", "input": {"sql": "select 1"}}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "7 rows"}]}],
        },
    ]

    with ScriptedAnthropic(MessageReply(text="First: {{result.0}}. All: {{results}}. Third: {{result.2}}.")) as server:
        async with client(server) as api:
            message = await api.messages.create(model="m", max_tokens=100, messages=conversation, tools=[TOOL])

    assert words(message) == "First: 7 rows. All: 7 rows. Third: (no result)."


async def test_what_was_heard_goes_into_the_call() -> None:
    """A cue can carry over a statement of the request, at any depth of the input."""
    call = ToolCall(name="run_query", input={"sql": "{{said.1}}", "more": [{"and": "{{said.2}}{{said.7}}"}]})

    with ScriptedAnthropic(Script(cues=(Cue(reply=MessageReply(calls=(call,)), says="(select .*) from (.*)"),))) as server:
        message = await say(server, "please select 'ä' from t")

    assert [block.input for block in message.content if block.type == "tool_use"] == [
        {"sql": "select 'ä'", "more": [{"and": "t"}]}
    ]


async def test_without_a_script_the_answer_obeys_the_schema_asked_for() -> None:
    """An output schema is filled with the smallest valid value."""
    schema: dict[str, object] = {
        "type": "object",
        "properties": {"status": {"enum": ["done", "failed"]}, "confidence": {"type": "number", "minimum": 0}},
        "required": ["status", "confidence"],
        "additionalProperties": False,
    }

    with ScriptedAnthropic() as server:
        async with client(server) as api:
            message = await api.messages.create(
                model="m",
                max_tokens=100,
                messages=HELLO,
                output_config={"format": {"type": "json_schema", "schema": schema}},
            )

    assert json.loads(words(message)) == {"status": "done", "confidence": 0}


async def test_a_forced_tool_is_called_with_what_its_schema_requires() -> None:
    """A structured reply fills the input of the tool that the request forces."""
    with ScriptedAnthropic(StructuredReply(values={"sql": "select 1"})) as server:
        async with client(server) as api:
            message = await api.messages.create(
                model="m", max_tokens=100, messages=HELLO, tools=[TOOL], tool_choice={"type": "tool", "name": "run_query"}
            )

    assert [(block.name, block.input) for block in message.content if block.type == "tool_use"] == [
        ("run_query", {"sql": "select 1"})
    ]


async def test_requests_are_kept_as_they_came() -> None:
    """A test reads what was asked: parsed body, headers, order of models."""
    with ScriptedAnthropic() as server:
        await say(server, "first", model="claude-opus-5-5")
        await say(server, "second", model="claude-haiku-5-5")

    assert server.models == ("claude-opus-5-5", "claude-haiku-5-5")
    assert server.requests[0].body["messages"] == [{"role": "user", "content": "first"}]
    assert "sk-ant-none" in server.requests[0].headers["authorization"]
    assert "sk-ant-none" not in repr(server.requests)


async def test_tokens_are_counted() -> None:
    """The other endpoint of the Messages API answers, too, and is not taken for a message."""
    with ScriptedAnthropic() as server:
        async with client(server) as api:
            counted = await api.messages.count_tokens(model="m", messages=HELLO)

    assert counted.input_tokens > 0
    assert server.requests == ()


async def test_a_request_that_the_api_would_refuse_is_refused() -> None:
    """The refusal names the place, as an invalid request."""
    with ScriptedAnthropic() as server:
        async with client(server) as api:
            with pytest.raises(anthropic.BadRequestError, match="first message must be the user's") as raised:
                await api.messages.create(model="m", max_tokens=100, messages=[{"role": "assistant", "content": "hi"}])

    assert raised.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/messages", b"{", 400),
        ("POST", "/v1/messages", b"[]", 400),
        ("POST", "/v1/complete", b"{}", 404),
        ("GET", "/v1/messages", b"", 404),
    ],
)
async def test_what_is_no_message_request_gets_an_api_error(method: str, path: str, body: bytes, status: int) -> None:
    """Wrong path, wrong method, wrong body: always the API's own error shape."""
    with ScriptedAnthropic() as server:
        async with httpx2.AsyncClient(base_url=server.url) as http:
            response = await http.request(method, path, content=body)

    assert response.status_code == status
    assert response.json()["type"] == "error"


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/messages HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\ncontent-length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"x" * 200_000,
        b"\r\n\r\n",
        b"POST /v1/mess",
    ],
    ids=["enormous body", "negative body", "number without end", "chunked body", "endless header", "empty head", "half a head"],
)
async def test_bytes_that_make_no_request_do_not_stop_the_server(head: bytes) -> None:
    """The next client is served as if nothing had been."""
    with ScriptedAnthropic() as server:
        _, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
        writer.write(head)
        writer.close()
        message = await say(server)

    assert words(message) == "ok"


async def test_leaving_ends_calls_that_hang_and_frees_the_port() -> None:
    """A test that gives up on a hanging call is not held up by it."""
    with ScriptedAnthropic("hang") as server:
        asking = asyncio.create_task(say(server))
        await asyncio.to_thread(server.wait_for_requests)

    with pytest.raises(anthropic.APIConnectionError):
        await asking
    with socket.create_server(("127.0.0.1", int(server.url.rpartition(":")[2])), reuse_port=False) as again:
        assert again.fileno() > 0


async def test_leaving_does_not_wait_for_a_client_that_does_not_read() -> None:
    """An answer that nobody takes is dropped with its connection."""
    with ScriptedAnthropic(RawReply(body="x" * 20_000_000)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]), limit=1_000)
        writer.write(b"POST /v1/messages HTTP/1.1\r\ncontent-length: 90\r\n\r\n")
        writer.write(b'{"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}'.ljust(90))
        await asyncio.to_thread(server.wait_for_requests)

    received = await reader.read(-1)
    writer.close()
    await writer.wait_closed()

    assert 0 < len(received) < 20_000_000


async def test_an_entered_server_can_be_entered_again() -> None:
    """A demo that is run twice in one process plays from where it was, on the same port."""
    server = ScriptedAnthropic(Script.of(MessageReply(text="one"), MessageReply(text="two")))

    with server:
        first = words(await say(server))
    with server:
        second = words(await say(server))

    assert (first, second) == ("one", "two")


def test_a_number_that_is_no_port_is_an_error_at_once() -> None:
    """It is refused before anything is opened."""
    with pytest.raises(ValueError, match="0 to 65535"):
        ScriptedAnthropic(port=99_999)


def test_a_port_in_use_is_an_error_at_once() -> None:
    """The block is never entered."""
    with ScriptedAnthropic() as first, pytest.raises(OSError, match="in use"):
        ScriptedAnthropic(port=int(first.url.rpartition(":")[2])).__enter__()


async def test_nobody_listens_at_a_closed_port() -> None:
    """Connections are refused for as long as the block runs."""
    with closed_port() as url:
        async with httpx2.AsyncClient() as http:
            with pytest.raises(httpx2.ConnectError):
                await http.post(url)


async def test_waiting_for_a_request_that_does_not_come_ends() -> None:
    """A test that waits for the wrong thing fails and does not hang."""
    with ScriptedAnthropic() as server, pytest.raises(TimeoutError, match="fewer than 1 requests"):
        await asyncio.to_thread(server.wait_for_requests, 1, 0.05)
