"""The tools over MCP, on real processes: what they answer, what they refuse, and with which words."""

import socket
from datetime import UTC, datetime, timedelta

import pytest

from .answers import (
    YES,
    Connect,
    applied,
    apply,
    call,
    deployment_of,
    history,
    logs,
    plan_of,
    planned,
    refused,
    status,
    text_of,
    watched,
)
from .shops import Shop


async def test_way_of_a_release(connect: Connect, shop: Shop) -> None:
    """From nothing to a release, to the next, and back: status, history and what answers at the port agree all the time."""
    async with connect() as (client, _):
        before = await status(client, environment="dev")
        first = await applied(client, version="1.0")
        second = await applied(client, version="2.0")
        during = await status(client, service="shop", environment="dev")
        answer = await shop.ask()
        back = deployment_of(
            await call(client, "rollback_deployment", service="shop", environment="dev", reason="orders are lost")
        )
        past = await history(client)

    assert (before.services[0].live, before.services[0].problems) == (None, [])
    assert (first.state, second.state, back.state) == ("succeeded", "succeeded", "succeeded")
    assert (during.services[0].live, during.services[0].address) == ("2.0", f"http://127.0.0.1:{shop.ports['dev']}")
    assert [(each.release, each.live, each.replicas) for each in during.services[0].releases] == [
        ("2.0", True, 1),
        ("1.0", False, 0),
    ]
    assert answer == "2.0"
    assert [(each.action, each.before, each.after, each.outcome, each.reason) for each in past.changes] == [
        ("rollback", "2.0", "1.0", "succeeded", "orders are lost"),
        ("deploy", "1.0", "2.0", "succeeded", "as agreed in the meeting"),
        ("deploy", None, "1.0", "succeeded", "as agreed in the meeting"),
    ]
    assert [event.stage for event in second.events] == [
        *("lock", "create", "start", "gate", "point", "switch", "drain", "stop", "unlock"),
    ]


async def test_plan_changes_nothing_and_says_everything(connect: Connect, shop: Shop) -> None:
    """A plan has an end, a risk, the diff, the checks, the steps and the downtime; nothing runs because of it."""
    async with connect() as (client, _):
        plan = await planned(client, version="1.0", replicas=2)
        words = text_of(await call(client, "plan_deployment", service="shop", environment="dev", version="1.0"))

    assert (plan.action, plan.before, plan.after, plan.risk, plan.needs_approval) == ("deploy", None, "1.0", "medium", False)
    assert (plan.can_apply, plan.downtime_seconds) == (True, 0.0)
    assert "replicas: 0 → 2" in plan.diff
    assert [(check.name, check.ok) for check in plan.checks] == [(name, True) for name in ("release", "command", "probe", "port")]
    assert timedelta(minutes=14) < plan.expires_at - datetime.now(UTC) <= timedelta(minutes=15)
    assert "risk medium; no approval needed; expected downtime 0 s" in words
    assert shop.running() == {}


DEV: dict[str, object] = {"service": "shop", "environment": "dev"}
WHY: dict[str, object] = {"reason": "because"}


@pytest.mark.parametrize(
    ("tool", "arguments", "code", "words"),
    [
        ("deployment_status", {"service": "nope"}, "not_found", "There are: shop."),
        ("deployment_status", {"environment": "nope"}, "not_found", "There are: dev, production."),
        ("deployment_history", {"since": "yesterdayish"}, "invalid_input", "yesterdayish"),
        ("deployment_history", {"cursor": "made-up"}, "invalid_input", "cursor"),
        ("deployment_history", {"limit": 0}, "invalid_input", "limit"),
        ("release_logs", DEV, "not_found", "Nothing of shop/dev is live"),
        ("release_logs", {**DEV, "release": "../x"}, "not_found", "no release '../x'"),
        ("release_logs", {"service": "shop"}, "invalid_input", "give `environment`: dev, production"),
        ("plan_deployment", DEV, "invalid_input", "give `version`"),
        ("plan_deployment", {**DEV, "version": "../1.0"}, "invalid_input", "no name of a release"),
        ("plan_deployment", {**DEV, "action": "explode"}, "invalid_input", "action"),
        ("plan_deployment", {**DEV, "action": "scale", "replicas": 99}, "invalid_input", "replicas"),
        ("plan_deployment", {**DEV, "action": "rollback"}, "not_found", "No earlier release"),
        ("watch_deployment", {"deployment_id": "dep-0"}, "not_found", "deployment_history lists them"),
        ("apply_deployment", {"plan_id": "plan-0", "digest": "0", **WHY}, "not_found", "Make one with plan_deployment"),
        ("apply_deployment", {"plan_id": "plan-0", "digest": "0", "reason": ""}, "invalid_input", "reason"),
        ("rollback_deployment", {**DEV, **WHY}, "not_found", "No earlier release"),
        ("rollback_deployment", {"service": "shop", "environment": "x", **WHY}, "not_found", "dev, production"),
    ],
)
async def test_bad_input(connect: Connect, tool: str, arguments: dict[str, object], code: str, words: str) -> None:
    """What cannot be done is an error that says what would be right."""
    async with connect() as (client, _):
        answer = refused(await call(client, tool, **arguments))

    assert answer[0] == code
    assert words in answer[1]


SAME_PORT: dict[str, object] = {"environments": {"dev": {"publish": 7000}, "production": {"publish": 7000}}}


@pytest.mark.parametrize(
    ("service", "version", "check", "words"),
    [
        ({}, "9.9", "release", "there is no folder"),
        ({"probe": None}, "1.0", "probe", 'add probe = { path = "/healthz" }'),
        ({"command": []}, "1.0", "command", "add command ="),
        ({"command": ["./no-such"]}, "1.0", "command", "./no-such cannot be run"),
        ({"secrets": {"TOKEN": "env:SHOP_NO_SUCH"}}, "1.0", "secret TOKEN", "SHOP_NO_SUCH is not set"),
        ({"secrets": {"TOKEN": "file:/no/such"}}, "1.0", "secret TOKEN", "cannot be read from /no/such"),
        (SAME_PORT, "1.0", "publish", "is that of shop/production"),
    ],
)
async def test_bad_definition_is_found_when_it_is_planned(
    connect: Connect, shop: Shop, service: dict[str, object], version: str, check: str, words: str
) -> None:
    """A check that fails says what to write instead, and such a plan cannot be applied."""
    async with connect(service=service) as (client, _):
        plan = await planned(client, version=version)
        answer = refused(await apply(client, plan))

    [failed] = [each for each in plan.checks if not each.ok]
    assert (failed.name, plan.can_apply) == (check, False)
    assert words in failed.detail
    assert answer[0] == "not_permitted"
    assert words in answer[1]
    assert shop.running() == {}


async def test_port_that_somebody_else_holds(connect: Connect, shop: Shop) -> None:
    """A stable port that another program listens at is refused before anything is started."""
    with socket.create_server(("127.0.0.1", shop.ports["dev"])):
        async with connect() as (client, _):
            plan = await planned(client, version="1.0")

    assert [(check.name, check.detail) for check in plan.checks if not check.ok] == [
        ("port", f"{shop.ports['dev']} cannot be held: somebody else has it; give another publish")
    ]


async def test_logs_of_a_failed_release(connect: Connect, shop: Shop) -> None:
    """What a release said before it failed can be read, folded, filtered and cut, after it is gone."""
    shop.release("bad", crash=3, says=["HOME", "HOME"])
    async with connect() as (client, _):
        failed = await applied(client, version="bad")
        whole = await logs(client, release="bad")
        some = await logs(client, release="bad", grep="NO SUCH")
        last = await logs(client, release="bad", tail=1)
        nothing = await logs(client, release="bad", grep="zebra")

    assert failed.state == "failed"
    assert [(line.text.split(" ")[0], line.count) for line in whole.lines] == [("bad", 1), ("connecting", 2), ("no", 1)]
    assert (whole.shown, whole.matched, whole.dropped) == (3, 4, 0)
    assert [line.text for line in some.lines] == ["no such table: orders"]
    assert ([line.text for line in last.lines], last.dropped) == (["no such table: orders"], 3)
    assert (nothing.lines, nothing.hint) == ([], "No line matches.")


async def test_history_in_pages(connect: Connect) -> None:
    """Pages follow each other without a gap, and say how many there are; a page belongs to its question."""
    async with connect() as (client, _):
        for version in ("1.0", "2.0", "1.0"):
            await applied(client, version=version)
        first = await history(client, limit=2)
        second = await history(client, limit=2, cursor=first.next_cursor)
        stolen = refused(await call(client, "deployment_history", service="shop", cursor=first.next_cursor))
        none = await history(client, until="1h")

    assert [change.after for change in (*first.changes, *second.changes)] == ["1.0-2", "2.0", "1.0"]
    assert (first.total, second.next_cursor) == (3, None)
    assert stolen[0] == "invalid_input"
    assert (none.changes, none.hint) == ([], "Nothing was deployed in that time; give an earlier `since`.")


async def test_defined_service_runs_beside_the_configured_ones(connect: Connect, shop: Shop) -> None:
    """A definition is kept, its plan can be applied, and another one of the same service is a plan to restart with it."""
    definition = {**shop.service(), "environments": {"dev": {"publish": shop.ports["production"]}}}
    service = {"environments": {"dev": {"publish": shop.ports["dev"]}}}
    async with connect(service=service) as (client, _):
        plan = plan_of(await call(client, "define_service", service="kiosk", definition=definition, version="1.0"))
        first = deployment_of(await apply(client, plan))
        changed = {**definition, "environment": {"LOG": "debug"}}
        again = plan_of(await call(client, "define_service", service="kiosk", definition=changed))
    async with connect(service=service) as (client, _):
        kept = await status(client, service="kiosk")

    assert (plan.service, plan.action, plan.after, first.state) == ("kiosk", "deploy", "1.0", "succeeded")
    assert (again.action, again.risk, again.diff[1:]) == ("restart", "low", ["environment.LOG: – → debug"])
    assert kept.services[0].live == "1.0"
    assert kept.services[0].drift == [
        "the definition has changed since the live release was made; a deploy or restart plan shows how"
    ]


@pytest.mark.parametrize(
    ("name", "definition", "code", "words"),
    [
        ("shop", {}, "not_permitted", "defined in the configuration file"),
        ("Kiosk", {}, "invalid_input", "lower case"),
        ("kiosk", {"comand": ["hunter2"]}, "invalid_input", "comand: unknown key"),
        ("kiosk", {"secrets": {"T": "hunter2"}}, "invalid_input", "write env:NAME or file:/path"),
        ("kiosk", {"environments": {}}, "invalid_input", "those that the definition has to name"),
        ("kiosk", {"environments": {"a": {}, "b": {}}}, "invalid_input", "one of a, b"),
    ],
)
async def test_definition_that_is_refused(
    connect: Connect, shop: Shop, name: str, definition: dict[str, object], code: str, words: str
) -> None:
    """Nothing of it is kept, and no value is repeated."""
    async with connect() as (client, _):
        answer = refused(
            await call(client, "define_service", service=name, definition={**shop.service(), **definition}, version="1.0")
        )
        there = await status(client)

    assert answer[0] == code
    assert words in answer[1]
    assert "hunter2" not in answer[1]
    assert {each.service for each in there.services} == {"shop"}


async def test_secrets_that_a_caller_names_need_a_person(connect: Connect, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says: a caller's own definition that reaches for secrets of the server is approved by a person."""
    monkeypatch.setenv("SHOP_TOKEN", "tulip-meadow-77")
    definition = {
        **shop.service(),
        "secrets": {"STOLEN": "env:SHOP_TOKEN"},
        "environments": {"dev": {"publish": shop.ports["production"]}},
    }
    service = {"environments": {"dev": {"publish": shop.ports["dev"]}}}
    async with connect(service=service) as (client, _):
        plan = plan_of(await call(client, "define_service", service="kiosk", definition=definition, version="1.0"))
        answer = refused(await apply(client, plan))

    assert plan.needs_approval
    assert "secrets.STOLEN added, from env:SHOP_TOKEN" in plan.diff
    assert answer[0] == "not_permitted"
    assert shop.running() == {}


async def test_watch_follows_to_the_end(connect: Connect, shop: Shop) -> None:
    """A deployment that is watched shows its steps one after the other, and at last how it ended."""
    environments = {"dev": {"approve": "never", "watch_seconds": 1.0}}
    async with connect(environments=environments) as (client, _):
        end = await watched(client, await applied(client, version="1.0"))

    assert (end.state, end.stage, end.live) == ("succeeded", "done", "1.0")
    assert [event.stage for event in end.events][-2:] == ["watch", "unlock"]
    assert await shop.ask() == "1.0"


async def test_write_tools_are_not_there_without_allow_writes(connect: Connect) -> None:
    """A server that may not write lists what reads, and says how a person allows the rest."""
    async with connect(allow_writes=False) as (client, _):
        names = {tool.name for tool in await client.list_tools()}
        answer = refused(await call(client, "rollback_deployment", service="shop", environment="dev", reason="because", **YES))

    assert names == {"deployment_status", "deployment_history", "release_logs", "plan_deployment", "watch_deployment"}
    assert answer[0] == "not_permitted"
    assert "--allow-writes" in answer[1]
