"""What a request looks like on its way to the API."""

from opsroom.models.request import ModelRequest, ToolSpec

TOOL = ToolSpec("run_query", "Runs a query.", {"type": "object", "properties": {"sql": {"type": "string"}}})


def test_prompt_and_conversation_are_marked_for_caching() -> None:
    """One mark behind tools and system prompt, one at the end of a conversation that goes on."""
    request = ModelRequest("You are an agent.", [{"role": "user", "content": "hi"}], tools=(TOOL,))

    params = request.params(model="claude-opus-5-5", max_tokens=100)

    assert params.get("system") == [{"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}}]
    assert params.get("cache_control") == {"type": "ephemeral"}
    assert params.get("tools") == [{"name": "run_query", "description": "Runs a query.", "input_schema": TOOL.input_schema}]


def test_a_request_without_tools_leaves_out_what_belongs_to_them() -> None:
    """A single question pays for no cache that nobody reads, and an empty prompt is no block."""
    params = ModelRequest("", [{"role": "user", "content": "hi"}]).params(model="claude-haiku-5-5", max_tokens=100)

    assert params == {"model": "claude-haiku-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}


def test_the_output_schema_is_closed_as_the_api_demands() -> None:
    """Objects are closed, bounds become words, and the caller's schema stays as it was."""
    schema: dict[str, object] = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}

    params = ModelRequest("s", [{"role": "user", "content": "hi"}], output_schema=schema).params(model="m", max_tokens=100)

    assert params.get("output_config") == {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"n": {"type": "integer", "description": "{minimum: 1}"}},
                "additionalProperties": False,
                "required": ["n"],
            },
        }
    }
    assert schema == {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}


def test_the_last_turn_keeps_its_tools_and_may_not_call_them() -> None:
    """Earlier calls refer to the tools, so they stay in the request."""
    request = ModelRequest("s", [{"role": "user", "content": "hi"}], tools=(TOOL,), tool_choice="none", max_tokens=64)

    params = request.params(model="m", max_tokens=100)

    assert params.get("tool_choice") == {"type": "none"}
    assert params["max_tokens"] == 64
    assert len(list(params.get("tools", ()))) == 1
