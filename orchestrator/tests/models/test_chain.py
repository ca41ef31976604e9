"""The fallback chain over the scripted server: who is asked, in which order, and when it ends."""

import asyncio

import pytest
from opsroom.models.chain import Chain, ChainAnswer
from opsroom.models.client import Attempt, Clients
from opsroom.models.outcome import POLICY, Outcome, Step
from opsroom.models.request import ModelRequest
from opsroom.settings import RungSettings
from opsroom.testing import MessageReply, Script, ScriptedAnthropic

KEY = {"ANTHROPIC_API_KEY": "sk-ant-none"}
NAMES = ("opus", "sonnet", "haiku")
FAULT_OF = {
    Outcome.RATE_LIMITED: "rate_limited",
    Outcome.OVERLOADED: "overloaded",
    Outcome.SERVER: "server_error",
    Outcome.TIMEOUT: "hang",
    Outcome.TRANSPORT: "cut",
    Outcome.MALFORMED: "html",
    Outcome.TRUNCATED: "truncated",
    Outcome.REFUSED: "refusal",
    Outcome.CONTEXT_EXCEEDED: "context_window",
    Outcome.UNKNOWN_MODEL: "unknown_model",
    Outcome.CLIENT_BUG: "bad_request",
    Outcome.AUTH: "unauthorized",
    Outcome.BILLING: "out_of_credit",
}


def rungs(url: str, **limits: float) -> tuple[RungSettings, ...]:
    """The three rungs; only those named in *limits* have a short time."""
    variants = ("full", "simplified", "minimal")
    return tuple(
        RungSettings.model_validate(
            {"model": f"claude-{name}-5-5", "prompt": variant, "timeout": limits.get(name, 20), "base_url": url}
        )
        for name, variant in zip(NAMES, variants, strict=True)
    )


def build(rung: RungSettings) -> ModelRequest:
    return ModelRequest(f"You are the {rung.prompt} prompt.", [{"role": "user", "content": "hi"}])


def soon(seconds: float = 20) -> float:
    return asyncio.get_running_loop().time() + seconds


def outcomes(answer: ChainAnswer) -> list[tuple[str, Outcome]]:
    return [(attempt.model.split("-")[1], attempt.outcome) for attempt in answer.attempts]


def text(answer: ChainAnswer) -> str:
    assert answer.attempt is not None
    assert answer.attempt.message is not None
    return "".join(block.text for block in answer.attempt.message.content if block.type == "text")


def test_every_outcome_that_a_server_can_cause_is_played() -> None:
    """Only the valid answer and the cancellation are no faults."""
    assert FAULT_OF.keys() | {Outcome.OK, Outcome.CANCELLED} == set(Outcome)


@pytest.mark.parametrize("outcome", FAULT_OF)
async def test_the_chain_goes_on_or_stops_as_the_table_says(outcome: Outcome) -> None:
    """After a fault of the first rung the second answers, or nobody is asked any more."""
    script = Script.always({"opus": FAULT_OF[outcome], "sonnet": MessageReply(text="from sonnet")})

    with ScriptedAnthropic(script) as server:
        async with Clients(KEY) as clients:
            chain = Chain(rungs(server.url, opus=0.5 if outcome is Outcome.TIMEOUT else 20), clients=clients)
            answer = await chain.ask(build, until=soon())

    if POLICY[outcome] is Step.NEXT:
        assert outcomes(answer) == [("opus", outcome), ("sonnet", Outcome.OK)]
        assert text(answer) == "from sonnet"
    else:
        assert outcomes(answer) == [("opus", outcome)]
        assert answer.attempt is None
    assert len(server.requests) == len(answer.attempts)


@pytest.mark.parametrize("outcome", [outcome for outcome, step in POLICY.items() if step is Step.NEXT_KEY])
async def test_a_key_that_does_not_work_leaves_the_rungs_with_another_key(outcome: Outcome) -> None:
    """A locked account does not silence a second provider, and is not asked twice itself."""
    with ScriptedAnthropic(FAULT_OF[outcome]) as locked, ScriptedAnthropic(MessageReply(text="from the other")) as other:
        chain_rungs = (*rungs(locked.url)[:2], rungs(other.url)[2])
        async with Clients(KEY) as clients:
            chain = Chain(chain_rungs, clients=clients)
            answer = await chain.ask(build, until=soon())

    assert outcomes(answer) == [("opus", outcome), ("haiku", Outcome.OK)]
    assert text(answer) == "from the other"
    assert locked.models == ("claude-opus-5-5",)


async def test_a_key_that_was_refused_is_not_tried_again_further_down() -> None:
    """The third rung has the first one's key; between them another provider failed for a reason of its own."""
    with ScriptedAnthropic("unauthorized") as locked, ScriptedAnthropic("overloaded") as other:
        chain_rungs = (rungs(locked.url)[0], rungs(other.url)[1], rungs(locked.url)[2])
        async with Clients(KEY) as clients:
            answer = await Chain(chain_rungs, clients=clients).ask(build, until=soon())

    assert outcomes(answer) == [("opus", Outcome.AUTH), ("sonnet", Outcome.OVERLOADED)]
    assert locked.models == ("claude-opus-5-5",)


async def test_the_first_answer_ends_the_chain() -> None:
    """A healthy primary is the only one that is asked."""
    with ScriptedAnthropic() as server:
        async with Clients(KEY) as clients:
            chain = Chain(rungs(server.url), clients=clients)
            answer = await chain.ask(build, until=soon())

    assert outcomes(answer) == [("opus", Outcome.OK)]
    assert answer.attempt is answer.attempts[0]


async def test_all_rungs_failing_is_no_answer_with_every_attempt() -> None:
    """Each rung is asked once, in order, and nothing is raised."""
    script = Script.always({"opus": "overloaded", "sonnet": "bad_json", "haiku": "hang"})

    with ScriptedAnthropic(script) as server:
        async with Clients(KEY) as clients:
            chain = Chain(rungs(server.url, haiku=0.4), clients=clients)
            answer = await chain.ask(build, until=soon())

    assert answer.attempt is None
    assert outcomes(answer) == [("opus", Outcome.OVERLOADED), ("sonnet", Outcome.MALFORMED), ("haiku", Outcome.TIMEOUT)]


async def test_every_rung_gets_the_request_that_is_built_for_it() -> None:
    """A smaller model gets the smaller prompt."""
    script = Script.always({"opus": "overloaded", "sonnet": "server_error"})

    with ScriptedAnthropic(script) as server:
        async with Clients(KEY) as clients:
            chain = Chain(rungs(server.url), clients=clients)
            await chain.ask(build, until=soon())

    prompts = [str(request.body["system"]) for request in server.requests]
    assert [name for prompt in prompts for name in ("full", "simplified", "minimal") if name in prompt] == [
        "full",
        "simplified",
        "minimal",
    ]


async def test_the_chain_starts_where_the_caller_says() -> None:
    """The next turn of a conversation does not wait for the dead primary again."""
    with ScriptedAnthropic(Script.always({"opus": "hang"})) as server:
        async with Clients(KEY) as clients:
            chain = Chain(rungs(server.url, opus=0.4), clients=clients)
            first = await chain.ask(build, until=soon())
            assert first.attempt is not None
            second = await chain.ask(build, until=soon(), start=first.attempt.rung)

    assert outcomes(first) == [("opus", Outcome.TIMEOUT), ("sonnet", Outcome.OK)]
    assert outcomes(second) == [("sonnet", Outcome.OK)]


async def test_an_answer_that_is_not_accepted_moves_the_chain_on() -> None:
    """The caller's reason is the attempt's detail, and the text that was turned down is gone."""
    script = Script.always({"opus": MessageReply(text="not JSON"), "sonnet": MessageReply(text="{}")})

    def accept(attempt: Attempt) -> str | None:
        assert attempt.message is not None
        block = attempt.message.content[0]
        return None if block.type == "text" and block.text == "{}" else "the answer does not parse"

    with ScriptedAnthropic(script) as server:
        async with Clients(KEY) as clients:
            chain = Chain(rungs(server.url), clients=clients)
            answer = await chain.ask(build, until=soon(), accept=accept)

    assert outcomes(answer) == [("opus", Outcome.MALFORMED), ("sonnet", Outcome.OK)]
    assert answer.attempts[0].detail == "the answer does not parse"
    assert answer.attempts[0].message is None
    assert answer.attempts[0].usage is not None


async def test_partial_text_is_in_no_attempt() -> None:
    """A stream that breaks off after some text leaves nothing of it, on no rung."""
    script = Script.always({"opus": "cut", "sonnet": "truncated", "haiku": "hang_half_way"})

    with ScriptedAnthropic(script) as server:
        async with Clients(KEY) as clients:
            chain = Chain(rungs(server.url, haiku=0.4), clients=clients)
            answer = await chain.ask(build, until=soon())

    assert [attempt.message for attempt in answer.attempts] == [None, None, None]


async def test_nobody_is_asked_when_the_time_is_up() -> None:
    """A request past its deadline makes no call at all."""
    with ScriptedAnthropic() as server:
        async with Clients(KEY) as clients:
            chain = Chain(rungs(server.url), clients=clients)
            answer = await chain.ask(build, until=soon(0))

    assert answer == ChainAnswer(None, ())
    assert server.requests == ()


async def test_the_deadline_of_the_request_ends_the_chain_in_the_middle() -> None:
    """The rungs that would still follow are not asked."""
    with ScriptedAnthropic("hang") as server:
        async with Clients(KEY) as clients:
            chain = Chain(rungs(server.url), clients=clients)
            answer = await chain.ask(build, until=soon(1))

    assert outcomes(answer) == [("opus", Outcome.TIMEOUT)]
    assert server.models == ("claude-opus-5-5",)


async def test_a_rung_without_a_key_is_passed_over() -> None:
    """The rungs that can be asked are, and no failed call is invented for the others."""
    with ScriptedAnthropic() as server:
        keyless = RungSettings(model="claude-opus-5-5", base_url=server.url, api_key_env="NOT_SET")
        async with Clients(KEY) as clients:
            chain = Chain((keyless, *rungs(server.url)[1:]), clients=clients)
            answer = await chain.ask(build, until=soon())

    assert outcomes(answer) == [("sonnet", Outcome.OK)]


async def test_without_any_key_nobody_is_asked() -> None:
    """No key at all is no answer, at once."""
    with ScriptedAnthropic() as server:
        async with Clients({}) as clients:
            chain = Chain(rungs(server.url), clients=clients)
            answer = await chain.ask(build, until=soon())

    assert answer == ChainAnswer(None, ())
    assert server.requests == ()


async def test_every_attempt_is_told_of_as_it_ends() -> None:
    """The ledger hears of failed, rejected and answering calls, in order, as the answer lists them."""
    told: list[Attempt] = []

    with ScriptedAnthropic(Script.always({"opus": "overloaded"})) as server:
        async with Clients(KEY) as clients:
            chain = Chain(rungs(server.url), clients=clients, on_attempt=told.append)
            answer = await chain.ask(
                build, until=soon(), accept=lambda attempt: "no" if attempt.model == "claude-sonnet-5-5" else None
            )

    assert tuple(told) == answer.attempts
    assert [attempt.outcome for attempt in told] == [Outcome.OVERLOADED, Outcome.MALFORMED, Outcome.OK]


async def test_a_cancelled_request_stops_the_chain_and_is_told_of() -> None:
    """Nobody is asked on behalf of someone who has left."""
    told: list[Attempt] = []

    with ScriptedAnthropic("hang") as server:
        async with Clients(KEY) as clients:
            chain = Chain(rungs(server.url), clients=clients, on_attempt=told.append)
            asking = asyncio.create_task(chain.ask(build, until=soon()))
            await asyncio.to_thread(server.wait_for_requests)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    assert [attempt.outcome for attempt in told] == [Outcome.CANCELLED]
    assert server.models == ("claude-opus-5-5",)
