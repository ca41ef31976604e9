"""The demo over stdio: real releases of a real service, good, sick and slow; and nothing of it is left when the server ends."""

import asyncio
import re
import signal
import sys
from pathlib import Path
from typing import cast

import pytest
from opsroom_deployments.platforms import Target
from opsroom_deployments.platforms.processes import children
from opsroom_deployments.platforms.processes.layout import Layout
from opsroom_shared.testing.process import Era, Json, ServerProcess, server_process

from .shops import until

SCRIPT = Path(sys.executable).with_name("opsroom-deployments")
CAN_ASK: Json = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}
CHECKOUT = [Target("checkout", "production"), Target("checkout", "staging")]


def command(state: Path, *flags: str) -> list[str | Path]:
    return [SCRIPT, "--demo", "--allow-writes", "--state", state, *flags]


async def call(server: ServerProcess, tool: str, **arguments: object) -> Json:
    result = await server.call(tool, **cast("Json", arguments))
    assert not result.get("isError"), result
    return cast("Json", result["structuredContent"])


def processes(state: Path) -> list[int]:
    """The daemon and the instances that run."""
    layout = Layout(state / "processes" / "local")
    found = [int((layout.root / "daemon.pid").read_text(encoding="utf-8"))]
    for target in CHECKOUT:
        for placed in layout.instances(target):
            file = layout.read_instance(target, *placed)
            if file is not None and file.pid is not None:
                found.append(file.pid)
    return [pid for pid in found if children.birth_of(pid) is not None]


async def ask(address: str) -> str:
    host, _, port = address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    return answer.rpartition("\r\n\r\n")[2].strip()


async def test_demo_has_a_past(tmp_path: Path) -> None:
    """Both environments run a healthy release, production has one to go back to, and the history says how it came to that."""
    async with server_process(command(tmp_path)) as server:
        await server.handshake()
        status = await call(server, "deployment_status")
        past = await call(server, "deployment_history")
        production, staging = cast("list[dict[str, object]]", status["services"])
        answer = await ask(str(production["address"]))
        listed = len(processes(tmp_path))
        await server.stop()

    assert (production["live"], staging["live"], production["problems"]) == ("1.4.1", "1.4.1", [])
    assert answer == "ok by checkout 1.4.1"
    assert [cast("Json", change)["after"] for change in cast("list[object]", past["changes"])].count("1.4.1") == 2
    assert listed == 3


async def test_sick_release_fails_and_slow_release_succeeds(tmp_path: Path) -> None:
    """1.5.0 is rejected with the reason in its log; 1.5.1 is healthy, and slow."""
    async with server_process(command(tmp_path)) as server:
        await server.handshake()
        ends: list[Json] = []
        for version in ("1.5.0", "1.5.1"):
            plan = await call(server, "plan_deployment", service="checkout", environment="staging", version=version)
            wish = {"plan_id": plan["plan_id"], "digest": plan["digest"], "reason": "to see what happens"}
            ends.append(await call(server, "apply_deployment", **wish))
        logs = await call(server, "release_logs", service="checkout", environment="staging", release="1.5.0")
        await server.stop()

    assert [(end["state"], end["live"]) for end in ends] == [("failed", "1.4.1"), ("succeeded", "1.5.1")]
    assert "database migrations are missing" in str(ends[0]["last_probe"])
    assert "run the migrations first" in str(logs["lines"])


@pytest.mark.parametrize("how", ["eof", signal.SIGTERM])
async def test_nothing_is_left(tmp_path: Path, how: signal.Signals) -> None:
    """When the server has ended, its daemon and everything that it has started end too."""
    async with server_process(command(tmp_path)) as server:
        await server.handshake()
        await call(server, "deployment_status")
        before = processes(tmp_path)
        status = await server.stop(how)
    await until(lambda: not any(children.birth_of(pid) for pid in before))

    assert (len(before), status, server.log) == (3, 0, "")


async def test_nothing_is_left_of_a_server_that_is_killed(tmp_path: Path) -> None:
    """Its daemon hears that its input has ended, and ends everything."""
    async with server_process(command(tmp_path)) as server:
        await server.handshake()
        await call(server, "deployment_status")
        before = processes(tmp_path)
        server.process.kill()
        await server.ended()
    await until(lambda: not any(children.birth_of(pid) for pid in before))

    assert len(before) == 3


async def test_demo_comes_back_as_it_was(tmp_path: Path) -> None:
    """The next start runs what was live at the same address, and a deployment in flight at the end is accounted for."""
    async with server_process(command(tmp_path)) as server:
        await server.handshake()
        plan = await call(server, "plan_deployment", service="checkout", environment="staging", version="1.5.1")
        wish = {"plan_id": plan["plan_id"], "digest": plan["digest"], "reason": "to see what stays"}
        await call(server, "apply_deployment", **wish)
        first = await call(server, "deployment_status", environment="staging")
        sick = await call(server, "plan_deployment", service="checkout", environment="staging", version="1.5.0")
        wish = {"plan_id": sick["plan_id"], "digest": sick["digest"], "reason": "to leave it half-way"}
        await server.send("tools/call", {"name": "apply_deployment", "arguments": wish})
        while cast("list[Json]", (await call(server, "deployment_status", environment="staging"))["services"])[0]["lock"] is None:
            pass
        await server.stop()
    async with server_process(command(tmp_path)) as server:
        await server.handshake()
        again = await call(server, "deployment_status", environment="staging")
        past = await call(server, "deployment_history", environment="staging")
        await server.stop()

    [before], [after] = cast("list[Json]", first["services"]), cast("list[Json]", again["services"])
    assert (after["live"], after["address"], after["lock"], after["problems"]) == ("1.5.1", before["address"], None, [])
    assert cast("list[Json]", past["changes"])[0]["outcome"] in ("aborted", "rolled_back")


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_production_needs_a_person(tmp_path: Path, era: Era) -> None:
    """A client that cannot ask is told the command; a person runs it beside the server, and the plan can be applied."""
    async with server_process(command(tmp_path), era=era) as server:
        await server.handshake()
        plan = await call(server, "plan_deployment", service="checkout", environment="production", version="1.5.1")
        wish = {"plan_id": plan["plan_id"], "digest": plan["digest"], "reason": "to see who is asked"}
        refused = await server.call("apply_deployment", **wish)
        told = re.search(r"opsroom-deployments (approve plan-\w+)", str(refused["content"]))
        assert told
        words = [SCRIPT, *told[1].split(), "--demo", "--state", tmp_path]
        process = await asyncio.create_subprocess_exec(*words, stdout=-1, stderr=-1)
        said = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
        end = await call(server, "apply_deployment", **wish)
        status = await call(server, "deployment_status", environment="production")
        await server.stop()

    assert cast("Json", refused["structuredContent"])["code"] == "not_permitted"
    assert "Approved." in said
    assert (end["state"], end["live"]) == ("succeeded", "1.5.1")
    assert cast("list[Json]", status["services"])[0]["problems"] == []


async def test_modern_approval_counts_once(tmp_path: Path) -> None:
    """The first call returns a question, the second with the answer applies; the same answer again does nothing."""
    async with server_process(command(tmp_path)) as server:
        await server.handshake()
        plan = await call(server, "plan_deployment", service="checkout", environment="production", version="1.5.1")
        arguments = {"plan_id": plan["plan_id"], "digest": plan["digest"], "reason": "to see who is asked"}
        params = {"name": "apply_deployment", "arguments": arguments, "_meta": CAN_ASK}
        asked = await server.request("tools/call", cast("Json", params))
        reply = {"inputResponses": {"approval": {"action": "accept", "content": {"apply": True}}}}
        with pytest.raises(RuntimeError, match="requestState"):
            await server.request("tools/call", cast("Json", {**params, **reply, "requestState": "made up"}))
        answer = {**params, **reply, "requestState": asked["requestState"]}
        applied = await server.request("tools/call", cast("Json", answer))
        again = await server.request("tools/call", cast("Json", answer))
        await server.stop()

    assert asked["resultType"] == "input_required"
    assert cast("Json", applied["structuredContent"])["state"] == "succeeded"
    assert cast("Json", again["structuredContent"])["code"] == "conflict"


async def test_tools_are_listed_before_the_demo_is_ready(tmp_path: Path) -> None:
    """A client that lists the tools and leaves does not wait for a release, and leaves nothing behind."""
    async with server_process(command(tmp_path)) as server:
        await server.handshake()
        tools = await server.list_tools()
        status = await server.stop()
    layout = Layout(tmp_path / "processes" / "local")
    await until(lambda: not (layout.root / "daemon.pid").exists() or processes(tmp_path) == [])

    assert (len(tools), status, server.log) == (8, 0, "")
