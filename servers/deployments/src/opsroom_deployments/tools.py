"""The tools: plain functions over the deployer; nothing in here knows a platform."""

import asyncio
import json
import re
from datetime import UTC, datetime
from typing import Annotated

from fastmcp import Context
from fastmcp.dependencies import CurrentContext, Depends
from mcp.types import InputRequiredResult
from opsroom_shared.approval import Approvals, Question, check_can_ask, check_said_yes, is_answer, is_modern, question
from opsroom_shared.errors import Conflict, InvalidInput
from opsroom_shared.outside import clean
from opsroom_shared.paging import Cursors
from opsroom_shared.progress import with_progress
from opsroom_shared.times import parse_time
from opsroom_shared.tools import Tool, lifespan_value
from pydantic import Field, JsonValue, ValidationError

from .deployer import Caller, Deployer, user_of_this_process
from .folding import folded
from .models import Change, Deployment, History, Plan, ReleaseLogs, Statuses
from .opening import Opened
from .plans import Wish
from .platforms import Target
from .spec import Service, problems_of
from .state.records import DeploymentRecord, PlanRecord
from .vocabulary import Action

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_MOST_SERVICES = 50
_READ_ROWS = 5_000
_WAIT_SECONDS = 60.0
"""How long a change is waited for; watch_deployment goes on."""
_WITHOUT_ASKING = (
    "A person approves with `opsroom-deployments approve {plan}` at a terminal; then call apply_deployment with plan_id {plan} "
    "and digest {digest}."
)


async def the_deployer(context: Context = CurrentContext()) -> Deployer:
    return await lifespan_value(context, Opened).started()


def _approvals(context: Context = CurrentContext()) -> Approvals:
    return lifespan_value(context, Approvals)


def _cursors(context: Context = CurrentContext()) -> Cursors:
    return lifespan_value(context, Cursors)


ServiceName = Annotated[str, Field(description="Its name.", max_length=40)]
OnlyEnvironment = Annotated[str | None, Field(description="Such as staging or production.", max_length=40)]
Only = Annotated[str | None, Field(description="Only this one.", max_length=40)]
MaybeEnvironment = Annotated[str | None, Field(description="Needed if there are several.", max_length=40)]
When = Annotated[str | None, Field(description="RFC 3339, or 2h, 7d.", max_length=60)]
Reason = Annotated[str, Field(description="For the record.", min_length=3, max_length=500)]


async def deployment_status(
    service: Only = None,
    environment: OnlyEnvironment = None,
    *,
    deployer: Deployer = Depends(the_deployer),
    context: Context = CurrentContext(),
) -> Statuses:
    """What runs now per service: live release, image, health, replicas, restarts, lock holder, a running deployment, drift."""
    targets = await deployer.targets(service, environment)
    work = asyncio.gather(*(deployer.status(target, definition) for target, definition in targets[:_MOST_SERVICES]))
    statuses = await with_progress(work, context, "looking at the platforms")
    hint = None if len(targets) <= _MOST_SERVICES else "Name a service or an environment to see the others."
    return Statuses(services=[*statuses], total=len(targets), hint=hint)


async def deployment_history(
    service: Only = None,
    environment: OnlyEnvironment = None,
    since: When = "7d",
    until: When = None,
    *,
    limit: Annotated[int, Field(description="Most to return.", ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Field(description="Of the page before.", max_length=4096)] = None,
    deployer: Deployer = Depends(the_deployer),
    cursors: Cursors = Depends(_cursors),
) -> History:
    """Past deployments, newest first: what was released, rolled back, restarted or scaled, when, by whom, why, how it ended."""
    now = datetime.now(UTC)
    asked = json.dumps(["history", service, environment, since, until])
    skip = cursors.decode(asked, cursor) if cursor else 0
    if not isinstance(skip, int):
        raise InvalidInput("The cursor is not one of this tool's. Repeat the call without it.")
    records, total = await deployer.history(
        service,
        environment,
        (parse_time(since, now) if since else None, parse_time(until, now) if until else None),
        limit=limit,
        skip=skip,
    )
    more = skip + len(records) < total
    return History(
        changes=[_change(record) for record in records],
        total=total,
        next_cursor=cursors.encode(asked, skip + len(records)) if more else None,
        hint=None if total else "Nothing was deployed in that time; give an earlier `since`.",
    )


async def release_logs(
    service: ServiceName,
    environment: MaybeEnvironment = None,
    release: Annotated[str | None, Field(description="Default: the live one.", max_length=80)] = None,
    since: When = None,
    *,
    grep: Annotated[str | None, Field(description="Only lines with this.", max_length=200)] = None,
    tail: Annotated[int, Field(description="Most lines.", ge=1, le=500)] = 60,
    deployer: Deployer = Depends(the_deployer),
) -> ReleaseLogs:
    """Log lines of a release or its containers, repeats folded; also of one that failed."""
    target = await deployer.target(service, environment)
    moment = parse_time(since, datetime.now(UTC)) if since else None
    name, rows = await deployer.logs(target, release, since=moment, tail=_READ_ROWS if grep else tail * 5)
    lines, matched = folded(rows, grep)
    shown = lines[-tail:]
    dropped = sum(line.count for line in lines[: len(lines) - len(shown)])
    return ReleaseLogs(
        service=target.service,
        environment=target.environment,
        release=name,
        lines=shown,
        shown=len(shown),
        matched=matched,
        dropped=dropped,
        hint="There are older lines: give `grep`, or a larger `tail`." if dropped else None if matched else "No line matches.",
    )


async def plan_deployment(
    service: ServiceName,
    environment: MaybeEnvironment = None,
    action: Annotated[Action, Field(description="What to do.")] = "deploy",
    *,
    version: Annotated[
        str | None,
        Field(description="To deploy: tag, digest, image, or process release.", max_length=500),
    ] = None,
    release: Annotated[str | None, Field(description="To roll back to.", max_length=80)] = None,
    replicas: Annotated[int | None, Field(description="How many run.", ge=1, le=50)] = None,
    deployer: Deployer = Depends(the_deployer),
    context: Context = CurrentContext(),
) -> Plan:
    """Plan a deploy, rollback, restart, scale, stop or remove of a service, not done yet: diff, checks, risk, digest to apply."""
    target = await deployer.target(service, environment)
    wish = Wish(target, action, version, release, replicas, _caller(context).who)
    return await with_progress(deployer.plan(wish), context, "checking the platform")


async def watch_deployment(
    deployment_id: Annotated[str, Field(description="From apply_deployment.", max_length=40)],
    wait_seconds: Annotated[int, Field(description="Longest wait.", ge=0, le=120)] = 30,
    *,
    deployer: Deployer = Depends(the_deployer),
    context: Context = CurrentContext(),
) -> Deployment:
    """Wait for the end of a running deployment: its stage, events and failure."""
    return await _followed(deployer, deployment_id, wait_seconds, context)


async def apply_deployment(
    plan_id: Annotated[str, Field(description="From plan_deployment.", max_length=40)],
    digest: Annotated[str, Field(description="The plan's, unchanged.", max_length=64)],
    reason: Reason,
    *,
    deployer: Deployer = Depends(the_deployer),
    approvals: Approvals = Depends(_approvals),
    context: Context = CurrentContext(),
) -> Deployment | InputRequiredResult:
    """Apply a plan after approval: start the release, gate, switch traffic. Refused when the live state has changed."""
    record, plan = await deployer.check_applicable(plan_id, digest)
    asked = await _approved(record, plan, approvals, context)
    if isinstance(asked, InputRequiredResult):
        return asked
    deployment_id = await deployer.apply(plan_id, digest, reason, _caller(context), asked)
    return await _followed(deployer, deployment_id, _WAIT_SECONDS, context)


async def rollback_deployment(
    service: ServiceName,
    environment: Annotated[str, Field(description="Such as production.", max_length=40)],
    reason: Reason,
    *,
    to: Annotated[str | None, Field(description="Default: the one before.", max_length=80)] = None,
    deployer: Deployer = Depends(the_deployer),
    approvals: Approvals = Depends(_approvals),
    context: Context = CurrentContext(),
) -> Deployment | InputRequiredResult:
    """Return a service to its previous healthy release, or to the one named. Aborts a running deployment."""
    caller = _caller(context)
    target = await deployer.target(service, environment)
    subject = json.dumps(["rollback", str(target), to, reason])
    if is_answer(context):
        record = approvals.answered(context.request_state, subject)
        if not isinstance(record, PlanRecord):
            raise Conflict("The approval is not for this call. Call again to be asked anew.")
        record, plan = await deployer.check_applicable(record.plan_id, record.digest)
    else:
        found = await deployer.rollback(target, reason, caller, to)
        if isinstance(found, str):
            return await _followed(deployer, found, _WAIT_SECONDS, context)
        record, plan = found
    asked = await _approved(record, plan, approvals, context, subject)
    if isinstance(asked, InputRequiredResult):
        return asked
    deployment_id = await deployer.apply(record.plan_id, record.digest, reason, caller, asked)
    return await _followed(deployer, deployment_id, _WAIT_SECONDS, context)


async def define_service(
    service: ServiceName,
    definition: Annotated[
        dict[str, JsonValue],
        Field(
            description="image, or command and releases; port, probe {path}, environment, secrets {X: env:NAME}, "
            "environments {name: {publish}}.",
            max_length=40,
        ),
    ],
    environment: MaybeEnvironment = None,
    *,
    version: Annotated[str | None, Field(description="To deploy.", max_length=500)] = None,
    deployer: Deployer = Depends(the_deployer),
    context: Context = CurrentContext(),
) -> Plan:
    """Store the description of a service: image, port, health check, replicas. Returns the plan to make it live."""
    if not _NAME.fullmatch(service):
        raise InvalidInput("A service is named in lower case letters, digits and dashes, 40 at most, and begins with a letter.")
    deployer.check_definable(service)
    try:
        described = Service.model_validate(definition)
    except ValidationError as error:
        raise InvalidInput(f"The definition is not valid: {problems_of(error)}.") from None
    there, caller = sorted(described.environments), _caller(context)
    chosen = environment or (there[0] if len(there) == 1 else None)
    if chosen is None or chosen not in there:
        raise InvalidInput(f"Give `environment`: one of {', '.join(there) or 'those that the definition has to name'}.")
    target = Target(service, chosen)
    live = (await deployer.platform(target).observe(target)).live
    wish = Wish(target, "deploy" if version or not live else "restart", version, None, None, caller.who)
    plan = await with_progress(deployer.plan(wish, described), context, "checking the platform")
    await deployer.define(service, described, caller)
    return plan


READ_TOOLS = (
    Tool(deployment_status),
    Tool(deployment_history),
    Tool(release_logs),
    Tool(plan_deployment),
    Tool(watch_deployment),
)
WRITE_TOOLS = (
    Tool(apply_deployment, read_only=False, destructive=True),
    Tool(rollback_deployment, read_only=False, destructive=True, idempotent=False),
    Tool(define_service, read_only=False, idempotent=False),
)


async def _approved(
    record: PlanRecord, plan: Plan, approvals: Approvals, context: Context, subject: str | None = None
) -> str | InputRequiredResult | None:
    """Who agreed to the plan: nobody where nobody has to, a person at a terminal, or the one whom the client asks now."""
    if not plan.needs_approval:
        return None
    if record.approved_by is not None:
        return record.approved_by
    check_can_ask(context, _WITHOUT_ASKING.format(plan=plan.plan_id, digest=plan.digest))
    asked, about = _question(plan), subject or json.dumps([plan.plan_id, plan.digest])
    if is_answer(context):
        if subject is None:
            approvals.answered(context.request_state, about)
    elif is_modern(context):
        return question(asked, approvals.asked(about, record))
    await check_said_yes(context, asked)
    return f"{_caller(context).who} through {_caller(context).client}"


def _question(plan: Plan) -> Question:
    diff = "\n".join(f"  {line}" for line in plan.diff) or "  nothing is different"
    end = "" if plan.downtime_seconds is not None else "\nThe service does not run afterwards."
    message = (
        f"{plan.action} {plan.service} in {plan.environment}: {plan.before or 'nothing'} → {plan.after or 'nothing'} "
        f"(risk {plan.risk}).{end}\n{clean(diff, 3_000)}\nplan {plan.plan_id}, digest {plan.digest}"
    )
    return Question(message, {"apply": f"Yes, {plan.action} {plan.service} in {plan.environment}"})


async def _followed(deployer: Deployer, deployment_id: str, seconds: float, context: Context) -> Deployment:
    """How it stands after at most *seconds*, with each stage told to the client on the way."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    told = 0
    while True:
        standing = await deployer.watch(deployment_id, max(min(until - loop.time(), 2.0), 0.0))
        for event in standing.events[told:]:
            told += 1
            await context.report_progress(told, message=f"{event.stage}: {event.text}")
        if standing.state != "running" or loop.time() >= until:
            return standing


def _change(record: DeploymentRecord) -> Change:
    seconds = (record.ended_at - record.started_at).total_seconds() if record.ended_at else None
    return Change(
        deployment_id=record.deployment_id,
        at=record.started_at,
        service=record.service,
        environment=record.environment,
        action=record.action,
        outcome=record.state,
        before=record.before,
        after=record.after,
        by=record.by,
        reason=clean(record.reason, 500),
        seconds=None if seconds is None else round(seconds, 1),
    )


def _caller(context: Context) -> Caller:
    """Who asks: over stdio the user of this process, and the client by what it says of itself."""
    params = context.session.client_params
    client = clean(f"{params.client_info.name} {params.client_info.version}", 100) if params else "unknown client"
    return Caller(user_of_this_process(), client)
