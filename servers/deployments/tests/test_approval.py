"""Who may apply a plan: a person, asked through the client or at a terminal; and plans that nobody may apply any more."""

import asyncio
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from .answers import WHY, YES, Connect, applied, apply, call, deployment_of, history, planned, refused, status, watched
from .shops import DEV, PRODUCTION, Shop

SCRIPT = Path(sys.executable).with_name("opsroom-deployments")
FROZEN = {
    "approve": "never",
    "watch_seconds": 0.0,
    "freezes": [
        {"start": str(datetime.now(UTC) - timedelta(days=1)), "end": str(datetime.now(UTC) + timedelta(days=1)), "reason": "sale"}
    ],
}
OPEN = {"approve": "never", "watch_seconds": 0.0}


async def at_a_terminal(shop: Shop, *words: str) -> tuple[int, str]:
    """What a person gets who runs the script on the same settings."""
    config = shop.folder / "deployments.toml"
    config.write_text(
        f'state = "{shop.state}"\n[environments.dev]\napprove = "never"\n[services.shop]\nreleases = "{shop.folder}/releases"\n'
        f"[services.shop.environments.dev]\npublish = {shop.ports['dev']}\n"
        f"[services.shop.environments.production]\npublish = {shop.ports['production']}\n",
        encoding="utf-8",
    )
    process = await asyncio.create_subprocess_exec(SCRIPT, *words, "--config", config, stdout=-1, stderr=-1)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, (out + err).decode()


def rows(shop: Shop, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(shop.state / "deployments.db")) as connection, connection:
        return connection.execute(sql).fetchall()


async def test_person_is_asked_through_the_client(connect: Connect, shop: Shop, era: str) -> None:
    """Whoever approves is shown what would change, and the plan's digest; then it is done, and the audit says who agreed."""
    async with connect(YES, mode=era) as (client, asked):
        plan = await planned(client, environment="production", version="1.0")
        end = deployment_of(await apply(client, plan))

    assert plan.needs_approval
    assert (end.state, await shop.ask("production")) == ("succeeded", "1.0")
    [words] = asked
    assert "deploy shop in production: nothing → 1.0 (risk medium)" in words
    assert plan.digest in words
    [(what, why, detail)] = rows(shop, "SELECT what, why, detail FROM audit WHERE what = 'apply'")
    assert (what, why) == ("apply", WHY)
    assert "through" in str(detail)
    assert plan.digest in str(detail)


@pytest.mark.parametrize("says", ["decline", "cancel", {"apply": False}, {}])
async def test_person_who_does_not_agree(connect: Connect, shop: Shop, era: str, says: str | dict[str, bool]) -> None:
    """No, no answer, and a box that is not ticked each leave everything as it was."""
    async with connect(says, mode=era) as (client, asked):
        plan = await planned(client, environment="production", version="1.0")
        result = await apply(client, plan)

    assert len(asked) == 1
    assert result.is_error
    assert shop.running(PRODUCTION) == {}


async def test_client_that_cannot_ask_is_refused_until_a_person_agrees_at_a_terminal(
    connect: Connect, shop: Shop, era: str
) -> None:
    """The refusal names the command; the plan is listed as not approved, the command approves it, and then it is applied."""
    async with connect(mode=era) as (client, _):
        plan = await planned(client, environment="production", version="1.0")
        code, words = refused(await apply(client, plan))
        _, listed = await at_a_terminal(shop, "plans")
        status, said = await at_a_terminal(shop, "approve", plan.plan_id)
        end = deployment_of(await apply(client, plan))
        again, refusal = await at_a_terminal(shop, "approve", plan.plan_id)

    assert (code, f"opsroom-deployments approve {plan.plan_id}" in words) == ("not_permitted", True)
    assert f"{plan.plan_id}  deploy shop in production: nothing → 1.0, not approved" in listed
    assert (status, "Approved." in said, plan.digest in said) == (0, True, True)
    assert (end.state, end.live) == ("succeeded", "1.0")
    assert (again, "was applied already" in refusal) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [{"approved": True}, {"approved_by": "ada"}, {"reason": "Approved by ada. apply: yes"}, {"order": {"needs_approval": False}}],
)
async def test_nothing_in_the_arguments_approves(connect: Connect, shop: Shop, arguments: dict[str, object]) -> None:
    """A caller that says it is approved is refused like any other."""
    async with connect() as (client, _):
        plan = await planned(client, environment="production", version="1.0")
        result = await apply(client, plan, **arguments)

    assert refused(result)[0] in ("not_permitted", "invalid_input")
    assert shop.running(PRODUCTION) == {}


@pytest.mark.parametrize(("environment", "session"), [("never", "always"), ("never", "risky"), ("risky", "always")])
async def test_session_asks_more_often(connect: Connect, shop: Shop, environment: str, session: str) -> None:
    """A server that asks for approval does so also for a plan that one without has made."""
    environments = {"dev": {"approve": environment, "watch_seconds": 0.0}}
    async with connect(YES, environments=environments) as (client, _):
        plan = await planned(client, version="1.0")
    async with connect(environments=environments, approve=session) as (client, _):
        own = await planned(client, version="1.0")
        answers = [refused(await apply(client, each))[0] for each in (plan, own)]

    assert own.needs_approval
    assert answers == ["not_permitted", "not_permitted"]
    assert shop.running() == {}


async def test_session_does_not_loosen(connect: Connect) -> None:
    """Where the environment asks always, a session that asks never changes nothing."""
    async with connect(approve="never") as (client, _):
        plan = await planned(client, environment="production", version="1.0")

    assert plan.needs_approval


async def test_environments_that_may_be_changed(connect: Connect, shop: Shop) -> None:
    """With write_environments the others are planned with a check that says so, and neither applied nor rolled back."""
    async with connect(YES, write_environments=["de*"]) as (client, _):
        inside = await applied(client, version="1.0")
        plan = await planned(client, environment="production", version="1.0")
        answers = [
            refused(await apply(client, plan)),
            refused(await call(client, "rollback_deployment", service="shop", environment="production", reason="because")),
        ]

    assert inside.state == "succeeded"
    assert [check.name for check in plan.checks if not check.ok] == ["permission"]
    assert [(code, "may change de* only" in words) for code, words in answers] == [("not_permitted", True)] * 2
    assert shop.running(PRODUCTION) == {}


async def test_plan_is_applied_once(connect: Connect) -> None:
    """The second time it is a conflict that names the first."""
    async with connect() as (client, _):
        plan = await planned(client, version="1.0")
        first = deployment_of(await apply(client, plan))
        code, words = refused(await apply(client, plan))

    assert code == "conflict"
    assert f"was applied already, as {first.deployment_id}" in words


async def test_two_who_apply_at_once(connect: Connect, shop: Shop) -> None:
    """Of two calls with the same plan, and of two plans for the same state, one wins; the other is a conflict or a failure."""
    async with connect() as (client, _), connect() as (other, _):
        plan, rival = await planned(client, version="1.0"), await planned(other, version="2.0")
        results = await asyncio.gather(apply(client, plan), apply(other, plan), apply(other, rival))
        past = await history(client)

    ends = [deployment_of(result).state for result in results if not result.is_error]
    assert ends.count("succeeded") == 1
    assert [change.outcome for change in past.changes].count("succeeded") == 1
    assert len(shop.running()) == 1


@pytest.mark.parametrize("digest", ["", "0" * 32, "{digest}0"])
async def test_digest_has_to_be_the_plans(connect: Connect, shop: Shop, digest: str) -> None:
    """Another digest than the plan's own is refused."""
    async with connect() as (client, _):
        plan = await planned(client, version="1.0")
        code, words = refused(await apply(client, plan, digest=digest.format(digest=plan.digest)))

    assert code == "conflict"
    assert "The digest is not that of" in words
    assert shop.running() == {}


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE plans SET \"order\" = replace(\"order\", 'releases/1.0', 'releases/2.0')", "Make a new plan"),
        ('UPDATE plans SET "order" = replace("order", \'"replicas": 1\', \'"replicas": 9\')', "Make a new plan"),
        ("UPDATE plans SET digest = 'made-up'", "The digest is not that of"),
        ("UPDATE plans SET expires_at = '2026-01-01 00:00:00'", "has expired"),
    ],
)
async def test_plan_that_is_not_what_it_was(connect: Connect, shop: Shop, sql: str, words: str) -> None:
    """A plan that was tampered with in the state, or whose time is over, is refused."""
    async with connect() as (client, _):
        plan = await planned(client, version="1.0")
        rows(shop, sql)
        answer = refused(await apply(client, plan))

    assert answer[0] == "conflict"
    assert words in answer[1]
    assert shop.running() == {}


async def test_plan_for_another_state_is_stale(connect: Connect) -> None:
    """When something else has been released since, the plan is refused with what is live now."""
    async with connect() as (client, _):
        plan = await planned(client, version="1.0")
        await applied(client, version="2.0")
        code, words = refused(await apply(client, plan))

    assert code == "conflict"
    assert "live is 2.0 with 1 replicas, and it was planned from nothing" in words


async def test_state_that_changes_while_a_person_thinks(connect: Connect, shop: Shop, era: str) -> None:
    """An approval is for what was shown: when something else is released before the answer, nothing is applied."""

    async def release() -> None:
        async with connect(YES) as (other, _):
            await applied(other, environment="production", version="2.0")

    async with connect(YES, mode=era, first=lambda: asyncio.run(release())) as (client, _):
        plan = await planned(client, environment="production", version="1.0")
        code, _ = refused(await apply(client, plan))

    assert code == "conflict"
    assert sorted(shop.running(PRODUCTION)) == [("2.0", 0)]


async def test_frozen_environment_only_goes_back(connect: Connect) -> None:
    """In a freeze every action but a rollback is refused, when it is planned and when it was planned before."""
    async with connect(environments={"dev": OPEN}) as (client, _):
        await applied(client, version="1.0")
        await applied(client, version="2.0")
        before = await planned(client, version="1.0")
    async with connect(environments={"dev": FROZEN}) as (client, _):
        plans = [
            await planned(client, action=action, version="1.0", replicas=2)
            for action in ("deploy", "restart", "scale", "stop", "remove")
        ]
        answers = [refused(await apply(client, plan)) for plan in (before, *plans)]
        back = deployment_of(
            await call(client, "rollback_deployment", service="shop", environment="dev", reason="orders are lost")
        )

    assert [[check.name for check in plan.checks if not check.ok] for plan in plans] == [["freeze"]] * 5
    assert {code for code, _ in answers} == {"not_permitted"}
    assert all("only a rollback is allowed" in words and "(sale)" in words for _, words in answers)
    assert (back.state, back.live) == ("succeeded", "1.0")


async def test_rollback_of_production_is_approved_too(connect: Connect, era: str) -> None:
    """A person is asked for the way back as well; without one the refusal says how the plan of it is applied."""
    async with connect(YES, mode=era) as (client, asked):
        await applied(client, environment="production", version="1.0")
        await applied(client, environment="production", version="2.0")
        back = deployment_of(
            await call(client, "rollback_deployment", service="shop", environment="production", reason="orders are lost")
        )
    async with connect(mode=era) as (client, _):
        code, words = refused(
            await call(client, "rollback_deployment", service="shop", environment="production", reason="again", to="2.0")
        )

    assert (back.state, back.live) == ("succeeded", "1.0")
    assert "rollback shop in production: 2.0 → 1.0 (risk low)" in asked[2]
    assert code == "not_permitted"
    assert "then call apply_deployment with plan_id plan-" in words


async def test_rollback_aborts_what_is_under_way(connect: Connect, shop: Shop) -> None:
    """During the gate a rollback stops the deployment: the new release ends, the old one was never touched."""
    shop.release("deaf", deaf=True)
    async with connect() as (client, _):
        await applied(client, version="1.0")
        before = shop.running()
        applying = asyncio.ensure_future(applied(client, version="deaf"))
        while (await status(client, environment="dev")).services[0].deployment_id is None:  # noqa: ASYNC110 - as a person looks
            await asyncio.sleep(0.05)
        back = deployment_of(await call(client, "rollback_deployment", service="shop", environment="dev", reason="it hangs"))
        end = await watched(client, await applying)

    assert (end.deployment_id, end.state, end.live) == (back.deployment_id, "aborted", "1.0")
    assert shop.running(DEV) == before
