"""How tests call the tools, and how they read what was answered."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastmcp import Client
from fastmcp.client.client import CallToolResult
from fastmcp.client.transports import FastMCPTransport
from mcp.types import TextContent
from opsroom_deployments.models import Deployment, History, Plan, ReleaseLogs, Statuses

Connected = Client[FastMCPTransport]
Connect = Callable[..., AbstractAsyncContextManager[tuple[Connected, list[str]]]]
"""A client of a server on the shop, and what the person behind it was asked: the fixture `connect`."""
YES = {"apply": True}
WHY = "as agreed in the meeting"


async def call(client: Connected, tool: str, **arguments: object) -> CallToolResult:
    return await client.call_tool(tool, arguments, raise_on_error=False)


def text_of(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


def refused(result: CallToolResult) -> tuple[str, str]:
    """The code and the words of an error."""
    assert result.is_error, text_of(result)
    assert result.structured_content is not None
    return result.structured_content["code"], text_of(result)


def _json(result: CallToolResult) -> str:
    assert not result.is_error, text_of(result)
    return json.dumps(result.structured_content)


def plan_of(result: CallToolResult) -> Plan:
    return Plan.model_validate_json(_json(result), strict=True)


def deployment_of(result: CallToolResult) -> Deployment:
    return Deployment.model_validate_json(_json(result), strict=True)


async def planned(client: Connected, **wish: object) -> Plan:
    return plan_of(await call(client, "plan_deployment", **{"service": "shop", "environment": "dev", **wish}))


async def apply(client: Connected, plan: Plan, **more: object) -> CallToolResult:
    arguments = {"plan_id": plan.plan_id, "digest": plan.digest, "reason": WHY, **more}
    return await call(client, "apply_deployment", **arguments)


async def applied(client: Connected, **wish: object) -> Deployment:
    """A plan that is applied at once, and how that ended."""
    return deployment_of(await apply(client, await planned(client, **wish)))


async def watched(client: Connected, deployment: Deployment) -> Deployment:
    """How it ended in the end."""
    while deployment.state == "running":
        deployment = deployment_of(await call(client, "watch_deployment", deployment_id=deployment.deployment_id))
    return deployment


async def status(client: Connected, **which: object) -> Statuses:
    return Statuses.model_validate_json(_json(await call(client, "deployment_status", **which)), strict=True)


async def history(client: Connected, **which: object) -> History:
    return History.model_validate_json(_json(await call(client, "deployment_history", **which)), strict=True)


async def logs(client: Connected, **which: object) -> ReleaseLogs:
    result = await call(client, "release_logs", **{"service": "shop", "environment": "dev", **which})
    return ReleaseLogs.model_validate_json(_json(result), strict=True)
