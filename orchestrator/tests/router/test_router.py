"""The router: stages in order, and what happens when none is certain."""

from dataclasses import dataclass

import pytest
from opsroom.agents.definition import AgentDefinition, Routing
from opsroom.errors import UsageError
from opsroom.router.decision import Decision, Evidence, Kind, Request, StageName
from opsroom.router.router import LONGEST, Router, build_router

UNSURE = "p99 of the nightly report query"


@dataclass
class Says:
    """A stage that records what it was asked and answers as it was told."""

    name: StageName
    answer: Decision | None
    asked: int = 0

    async def decide(self, request: Request, evidence: Evidence) -> Decision | None:
        self.asked += bool(request.text)
        evidence.scores["databases"] = 0.4
        return self.answer


def route_to(agent: str, stage: StageName) -> Decision:
    return Decision(decision=Kind.ROUTE, agents=(agent,), stage=stage, confidence=0.9)


async def test_the_first_certain_stage_decides(agents: dict[str, AgentDefinition]) -> None:
    """Later stages are not asked, and what earlier ones found becomes the candidates."""
    silent, sure = Says(StageName.RULES, None), Says(StageName.GATE, route_to("databases", StageName.GATE))
    never = Says(StageName.MODEL, route_to("monitoring", StageName.MODEL))

    decision = await Router((silent, sure, never), agents, asks_model=True).route(Request("x y z"))

    assert (decision.agents, decision.stage) == (("databases",), StageName.GATE)
    assert [candidate.agent for candidate in decision.candidates] == ["databases"]
    assert (silent.asked, sure.asked, never.asked) == (1, 1, 0)


async def test_offline_never_asks_the_model(agents: dict[str, AgentDefinition]) -> None:
    """What would go to the model is deferred."""
    model = Says(StageName.MODEL, route_to("monitoring", StageName.MODEL))

    decision = await Router((model,), agents, asks_model=True).route(Request("x y z"), offline=True)

    assert (decision.decision, decision.stage, model.asked) == (Kind.DEFER, StageName.NONE, 0)


@pytest.mark.parametrize(
    ("asks_model", "offline", "kind"),
    [(True, True, Kind.DEFER), (True, False, Kind.CLARIFY), (False, True, Kind.CLARIFY), (False, False, Kind.CLARIFY)],
)
async def test_no_certain_stage_defers_or_asks(
    agents: dict[str, AgentDefinition],
    asks_model: bool,  # noqa: FBT001 - parametrized
    offline: bool,  # noqa: FBT001 - parametrized
    kind: Kind,
) -> None:
    """Only offline, and only where a model would be asked, is a request deferred."""
    decision = await build_router(agents, asks_model=asks_model).route(Request(UNSURE), offline=offline)

    assert (decision.decision, decision.stage) == (kind, StageName.NONE)


async def test_the_question_offers_the_likely_agents(router: Router) -> None:
    """Two or three numbered choices, made from the best candidates."""
    decision = await router.route(Request(UNSURE))

    lines = (decision.question or "").splitlines()
    assert lines[1].startswith("1. ")
    assert {line[3:].split(":")[0] for line in lines[1:]} == {"Databases", "Monitoring"}


async def test_without_evidence_the_question_says_what_opsroom_does(router: Router) -> None:
    """A person who said nothing that an agent knows hears what the agents do."""
    decision = await router.route(Request("could it be the moonlight maybe, or the tides"))

    assert decision.decision is Kind.CLARIFY
    assert "code review, databases, deployments and monitoring" in (decision.question or "")


async def test_the_last_agent_is_a_prior_and_not_a_lock(router: Router) -> None:
    """A follow-up offers the conversation's agent; a clear request still goes to its own."""
    unclear = await router.route(Request("and the other one", last_agent="deployments"))
    clear = await router.route(Request("which alerts are firing", last_agent="deployments"))

    assert [candidate.agent for candidate in unclear.candidates] == ["deployments"]
    assert clear.agents == ("monitoring",)


async def test_the_agent_a_person_names_is_taken(router: Router) -> None:
    """--agent wins over the words, and a command to that agent keeps its call."""
    named = await router.route(Request("which alerts are firing", agent="databases"))
    called = await router.route(Request("/databases list_databases", agent="databases"))

    assert named.agents == ("databases",)
    assert called.call is not None


async def test_an_unknown_agent_is_told_with_the_known_ones(router: Router) -> None:
    """A wrong --agent is a usage error that lists the agents."""
    with pytest.raises(UsageError, match="code_review, databases, deployments, monitoring"):
        await router.route(Request("anything", agent="nobody"))


@pytest.mark.parametrize("text", ["", " \n\t", "x" * (LONGEST + 1)])
async def test_blank_and_huge_requests_are_usage_errors(router: Router, text: str) -> None:
    """Nobody could answer them; the error says what to do."""
    with pytest.raises(UsageError, match=r"say what you want|shorten it"):
        await router.route(Request(text))


async def test_a_request_of_the_greatest_length_is_decided(router: Router) -> None:
    """The bound itself is allowed."""
    decision = await router.route(Request(("roll back checkout " * LONGEST)[:LONGEST]), offline=True)

    assert decision.decision in Kind


async def test_an_agent_of_ones_own_is_routed_to(agents: dict[str, AgentDefinition]) -> None:
    """The router knows agents only by their definitions."""
    own = AgentDefinition(
        name="billing",
        title="Billing",
        description="Answers questions on invoices of cloud providers.",
        capabilities=("billing",),
        routing=Routing(commands=("bill",), phrases=("cloud {cost}",), terms={"cost": ("bill", "cost")}),
    )
    router = build_router({**agents, "billing": own})

    by_phrase = await router.route(Request("what do our cloud costs look like"), offline=True)
    by_command = await router.route(Request("/bill last month"), offline=True)

    assert by_phrase.agents == by_command.agents == ("billing",)


@pytest.mark.parametrize("routing", [Routing(phrases=("* costs",)), Routing(literals=("(",)), Routing(phrases=("the {cost}",))])
def test_a_routing_table_that_cannot_be_used_names_its_agent(agents: dict[str, AgentDefinition], routing: Routing) -> None:
    """A mistake in a definition is told when the router is built."""
    broken = agents["databases"].model_copy(update={"routing": routing})

    with pytest.raises(UsageError, match="agent databases: routing"):
        build_router({"databases": broken})
