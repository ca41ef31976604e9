"""Plans, applies, watches and takes back: what the tools ask for, over platforms that carry it out and a store that remembers."""

import asyncio
import contextlib
import getpass
import logging
import os
import secrets
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import cast

from opsroom_shared.errors import Conflict, InvalidInput, NotFound, NotPermitted, ToolFailure
from opsroom_shared.redact import redact
from pydantic import TypeAdapter

from . import plans, policy
from .journals import StoredJournal
from .models import Deployment, Event, Plan, ServiceStatus
from .platforms import GateFailure, LogRow, Observed, Order, Outcome, Platform, Release, Target
from .platforms.secret_values import read_secret
from .recovery import Recovery, owner_of_this_process
from .settings import DeploymentsSettings
from .sinks import Marker, Sinks
from .spec import Environment, Service
from .state.records import AuditRecord, DeploymentRecord, PlanRecord
from .state.store import Store
from .statuses import status_of
from .vocabulary import LockHolder, PlanCheck, Risk

log = logging.getLogger(__name__)

_BEAT_SECONDS = 1.0
_POLL_SECONDS = 0.5
_LONG_SECONDS = 10.0
_CLOSE_SECONDS = 1.0
_ORDER: TypeAdapter[Order] = TypeAdapter(Order)


def user_of_this_process() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container whose user has no name
        return f"user {os.getuid()}"


@dataclass(frozen=True)
class Caller:
    """Who asks, and through what."""

    who: str
    client: str


class Deployer:
    """One per server. Everything that it needs to know after a crash is with the platforms and in the store."""

    def __init__(self, settings: DeploymentsSettings, store: Store, platforms: Mapping[str, Platform], sinks: Sinks) -> None:
        self._settings, self._store, self._platforms, self._sinks = settings, store, platforms, sinks
        self._running: dict[str, StoredJournal] = {}
        self._owner = owner_of_this_process()
        self.recovery = Recovery(store, self.platform, self._running, self._owner)

    async def aclose(self) -> None:
        """Asks what is under way to stop where it still can, waits for it a while, and leaves the rest to the next start."""
        tasks = [each.task for each in self._running.values() if each.task is not None]
        for each in self._running.values():
            each.stop = True
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._sinks.aclose()
        await self._store.aclose()

    async def services(self) -> dict[str, Service]:
        """What is configured, and what was defined through this server; the configuration wins."""
        defined = {name: Service.model_validate(each) for name, each in (await self._store.definitions()).items()}
        return {**defined, **self._settings.services}

    async def targets(self, service: str | None = None, environment: str | None = None) -> list[tuple[Target, Service]]:
        """The service-environment pairs there are. Raises NotFound with those that exist."""
        services = await self.services()
        if service is not None and service not in services:
            raise NotFound(f"There is no service {service!r}. There are: {', '.join(sorted(services)) or 'none'}.")
        found = [
            (Target(name, each), definition)
            for name, definition in sorted(services.items())
            for each in sorted(definition.environments)
            if service in (None, name) and environment in (None, each)
        ]
        if not found and environment is not None:
            there = sorted(
                {each for name, definition in services.items() if service in (None, name) for each in definition.environments}
            )
            raise NotFound(f"There is no environment {environment!r} here. There are: {', '.join(there) or 'none'}.")
        return found

    async def target(self, service: str, environment: str | None) -> Target:
        """The one target that is meant. Raises NotFound, and InvalidInput where the environment has to be said."""
        found = await self.targets(service, environment)
        if len(found) != 1:
            there = ", ".join(target.environment for target, _ in found)
            raise InvalidInput(f"{service} runs in several environments; give `environment`: {there or 'it has none yet'}.")
        return found[0][0]

    async def history(
        self,
        service: str | None,
        environment: str | None,
        window: tuple[datetime | None, datetime | None],
        *,
        limit: int,
        skip: int,
    ) -> tuple[list[DeploymentRecord], int]:
        """The newest first, and how many there are in all."""
        since, until = window
        return await self._store.history(
            service=service, environment=environment, since=since, until=until, limit=limit, skip=skip
        )

    async def logs(self, target: Target, release: str | None, *, since: datetime | None, tail: int) -> tuple[str, list[LogRow]]:
        """The log of a release, by default of the live one, and its name."""
        platform = self.platform(target)
        if release is None:
            live = (await platform.observe(target)).live
            if not live:
                raise NotFound(f"Nothing of {target} is live. Give `release`; deployment_status lists those that are kept.")
            release = live[0]
        made = await platform.release(target, release)
        for name, where in made.secrets.items() if made else ():
            with contextlib.suppress(ToolFailure):  # one that is gone cannot be recognised
                read_secret(name, where)
        return release, await platform.logs(target, release, since=since, tail=tail)

    def environment(self, name: str) -> Environment:
        return self._settings.environments.get(name) or Environment()

    def platform(self, target: Target) -> Platform:
        return self._platforms[self.environment(target.environment).platform]

    async def status(self, target: Target, service: Service) -> ServiceStatus:
        """How a target stands. A platform that does not answer is a problem in the answer, never a failure of the whole."""
        platform = self.platform(target)
        running = await self._store.running(target)
        try:
            seen = await platform.observe(target)
            live = await platform.release(target, seen.live[0]) if seen.live else None
        except ToolFailure as error:
            return ServiceStatus(
                service=target.service, environment=target.environment, platform=platform.name, problems=[str(error)]
            )
        status = status_of(target, platform.name, service, seen, live)
        return status.model_copy(update={"deployment_id": running[0].deployment_id if running else None})

    async def plan(self, wish: plans.Wish, definition: Service | None = None) -> Plan:
        """What *wish* would do, kept so that it can be applied. *definition* is a new one of the service, not defined yet."""
        target = wish.target
        service = definition or (await self.targets(target.service, target.environment))[0][1]
        platform, environment = self.platform(target), self.environment(target.environment)
        seen = await platform.observe(target)
        plan_id = f"plan-{secrets.token_hex(5)}"
        standing = await self._standing(target, seen)
        draft = plans.draft(service, wish, standing, plan_id)
        now = datetime.now(UTC)
        gone = any(self.recovery.is_gone(record) for record in await self._store.running(target))
        checks = [*self._checks(draft, seen, environment, now, gone=gone), *await self._clashes(draft)]
        if draft.release is not None:
            checks += await platform.preflight(draft.release)
        risk = policy.risk_of(
            wish.action, replicas=draft.replicas, first=draft.before is None, definition_changed=draft.definition_changed
        )
        can_apply = all(check.ok for check in checks)
        plan = Plan(
            plan_id=plan_id,
            digest=plans.digest_of(draft, seen, plan_id),
            expires_at=now + timedelta(minutes=self._settings.plan_minutes),
            service=target.service,
            environment=target.environment,
            action=wish.action,
            risk=risk,
            needs_approval=self._needs_approval(target, draft.release, risk),
            before=draft.before,
            after=draft.release.name if draft.release else None,
            diff=[redact(line) for line in draft.diff],
            checks=checks,
            steps=[*draft.steps],
            downtime_seconds=draft.downtime_seconds,
            can_apply=can_apply,
            hint=None if can_apply else "It cannot be applied: see the checks that are not ok, and plan again.",
        )
        order = Order(
            action=wish.action,
            target=target,
            release=draft.release,
            before=draft.before,
            replicas=draft.replicas,
            keep=service.keep,
            watch_seconds=environment.watch_seconds if wish.watch else 0.0,
            auto_rollback=environment.auto_rollback,
            holder=LockHolder(holder=wish.by, since=now, plan_id=plan_id),
            proven=tuple(sorted(standing.proven)),
        )
        await self._store.save_plan(
            PlanRecord(
                plan_id=plan_id,
                service=target.service,
                environment=target.environment,
                digest=plan.digest,
                plan=plan.model_dump(mode="json"),
                order=cast("Mapping[str, object]", _ORDER.dump_python(order, mode="json")),
                expires_at=plan.expires_at,
            )
        )
        return plan

    async def check_applicable(self, plan_id: str, digest: str) -> tuple[PlanRecord, Plan]:
        """The plan, if it may be applied now. Raises Conflict, NotPermitted and NotFound with what to do instead."""
        record = await self._store.plan(plan_id)
        plan = Plan.model_validate(record.plan)
        if not secrets.compare_digest(record.digest, digest):
            raise Conflict(f"The digest is not that of {plan_id}. Give the one that plan_deployment answered, unchanged.")
        if record.deployment_id is not None:
            raise Conflict(f"The plan {plan_id} was applied already, as {record.deployment_id}. Make a new one to do it again.")
        now = datetime.now(UTC)
        if now >= record.expires_at:
            raise Conflict(f"The plan {plan_id} has expired. Make a new one with plan_deployment.")
        if not plan.can_apply:
            failed = "; ".join(f"{check.name}: {check.detail}" for check in plan.checks if not check.ok)
            raise NotPermitted(f"The plan {plan_id} cannot be applied: {failed}")
        order = self._order(record)
        self._check_environment(order.target.environment)
        freeze = policy.freeze_at(self.environment(order.target.environment), now, order.action)
        if freeze is not None:
            raise NotPermitted(_frozen(order.target.environment, freeze.end, freeze.reason))
        await self._check_unchanged(record, order)
        # what this server asks for holds, too, when another one has made the plan
        needed = plan.needs_approval or self._needs_approval(order.target, order.release, plan.risk)
        return record, plan.model_copy(update={"needs_approval": needed})

    async def apply(self, plan_id: str, digest: str, reason: str, caller: Caller, approved_by: str | None) -> str:
        """Begins to carry out a plan, checked once more because people take their time to agree; the id of the deployment."""
        record, plan = await self.check_applicable(plan_id, digest)
        if plan.needs_approval and approved_by is None:
            raise NotPermitted(f"The plan {plan_id} needs the approval of a person.")
        order = self._order(record)
        now = datetime.now(UTC)
        deployment = DeploymentRecord(
            deployment_id=f"dep-{secrets.token_hex(5)}",
            plan_id=record.plan_id,
            service=record.service,
            environment=record.environment,
            action=order.action,
            state="running",
            stage="lock",
            before=order.before,
            after=order.release.name if order.release else None,
            by=caller.who,
            reason=redact(reason),
            started_at=now,
            owner=self._owner,
            alive_at=now,
        )
        await self.recovery.recover(order.target)
        await self._check_lock(order.target)
        await self._store.begin(deployment)
        await self._note(
            "apply", order.target, caller, reason, plan=record.plan_id, digest=record.digest, approved_by=approved_by
        )
        order = replace(order, holder=LockHolder(holder=caller.who, since=now, plan_id=record.plan_id))
        self._start(deployment, order, caller)
        return deployment.deployment_id

    async def approve(self, plan_id: str, person: str) -> Plan:
        """A person agrees to a plan at the terminal."""
        record = await self._store.plan(plan_id)
        plan = Plan.model_validate(record.plan)
        if datetime.now(UTC) >= record.expires_at:
            raise Conflict(f"The plan {plan_id} has expired. Make a new one.")
        if record.deployment_id is not None:
            raise Conflict(f"The plan {plan_id} was applied already, as {record.deployment_id}.")
        if not plan.can_apply:
            raise Conflict(f"The plan {plan_id} cannot be applied, whoever agrees to it: one of its checks failed.")
        await self._store.approve(plan_id, person)
        target = Target(record.service, record.environment)
        await self._note("approve", target, Caller(person, "terminal"), "", plan=plan_id, digest=record.digest)
        return plan

    async def open_plans(self) -> list[PlanRecord]:
        return await self._store.open_plans(datetime.now(UTC))

    async def watch(self, deployment_id: str, seconds: float) -> Deployment:
        """How a deployment stands: at once when it has ended, otherwise when it moves on or after *seconds*."""
        until = time.monotonic() + seconds
        before = await self.deployment(deployment_id)
        while before.state == "running" and (left := until - time.monotonic()) > 0:
            own = self._running.get(deployment_id)
            if own is None:  # another process carries it out
                await asyncio.sleep(min(_POLL_SECONDS, left))
            else:
                own.moved.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(own.moved.wait(), min(left, _POLL_SECONDS))
            now = await self.deployment(deployment_id)
            if now.state != "running" or len(now.events) > len(before.events):
                return now
        return await self.deployment(deployment_id)

    async def watch_to_the_end(self, deployment_id: str) -> Deployment:
        while (standing := await self.watch(deployment_id, _LONG_SECONDS)).state == "running":
            pass
        return standing

    async def deployment(self, deployment_id: str) -> Deployment:
        record = await self._store.deployment(deployment_id)
        journal = await self._store.journal(deployment_id)
        failure = record.failure or {}
        ended = record.ended_at or datetime.now(UTC)
        return Deployment(
            deployment_id=deployment_id,
            service=record.service,
            environment=record.environment,
            action=record.action,
            state=record.state,
            stage=record.stage,
            elapsed_seconds=round((ended - record.started_at).total_seconds(), 1),
            live=record.after if record.state != "running" else record.before,
            events=[Event(at=each.at, stage=each.stage, text=each.text) for each in journal],
            failure=cast("str | None", failure.get("reason")),
            last_probe=cast("str | None", failure.get("last_probe")),
            log_tail=cast("list[str]", failure.get("log_tail") or []),
            next_step=_next_step(record),
        )

    async def rollback(self, target: Target, reason: str, caller: Caller, to: str | None) -> tuple[PlanRecord, Plan] | str:
        """Stops what is under way, and says which deployment that is; otherwise plans the way back to an earlier release."""
        self._check_environment(target.environment)
        running = await self._store.running(target)
        alive = [each for each in running if not self.recovery.is_gone(each)]
        if alive and to is None:
            own = self._running.get(alive[0].deployment_id)
            if own is not None:
                own.stop = True
            await self._store.ask_to_stop(alive[0].deployment_id)
            await self._note("abort", target, caller, reason, deployment=alive[0].deployment_id)
            return alive[0].deployment_id
        plan = await self.plan(plans.Wish(target, "rollback", release=to, by=caller.who))
        return await self.check_applicable(plan.plan_id, plan.digest)

    def check_definable(self, name: str) -> None:
        """Raises NotPermitted for a service that people have configured."""
        if name in self._settings.services:
            raise NotPermitted(f"{name} is defined in the configuration file of this server; change it there.")

    async def define(self, name: str, definition: Service, caller: Caller) -> int:
        """Keeps a definition of a service that is not configured; the number of this version of it."""
        self.check_definable(name)
        version = await self._store.define(name, definition.model_dump(mode="json"), caller.who)
        await self._note("define", Target(name, "*"), caller, "", version=version)
        return version

    def _start(self, record: DeploymentRecord, order: Order, caller: Caller) -> None:
        running = StoredJournal(self._store, record.deployment_id, self._owner)
        self._running[record.deployment_id] = running
        running.task = asyncio.ensure_future(self._carry_out(running, record, order, caller))

    async def _carry_out(self, running: StoredJournal, record: DeploymentRecord, order: Order, caller: Caller) -> None:
        beat = asyncio.ensure_future(self._beat(running))
        marker = Marker(
            deployment_id=record.deployment_id,
            service=record.service,
            environment=record.environment,
            action=record.action,
            state="running",
            before=record.before,
            after=record.after,
            by=record.by,
            reason=record.reason,
            started_at=record.started_at,
        )
        self._sinks.tell(marker)
        try:
            outcome = await self._outcome(self.platform(order.target).carry_out(order, running), order)
            failure = _failure(outcome)
            await self._store.end(record.deployment_id, self._owner, outcome.state, outcome.live, failure)
            await self._note("ended", order.target, caller, "", deployment=record.deployment_id, state=outcome.state)
            self._sinks.tell(replace(marker, state=outcome.state, after=outcome.live, ended_at=datetime.now(UTC)))
        except ToolFailure:
            log.exception("the end of %s could not be written; the next who looks at it finds out", record.deployment_id)
        finally:
            beat.cancel()
            running.moved.set()
            self._running.pop(record.deployment_id, None)

    async def _outcome(self, work: Coroutine[None, None, Outcome], order: Order) -> Outcome:
        """How it ended. Whatever goes wrong is an end, too: a deployment that runs for ever would block all others."""
        try:
            return await work
        except ToolFailure as error:
            return Outcome("failed", order.before, GateFailure(str(error), None, ()))
        except Exception:
            log.exception("defect in the deployment of %s", order.target)
            seen = await self.platform(order.target).observe(order.target)
            reason = "It failed inside the server; its log has the cause."
            return Outcome("failed", seen.live[0] if seen.live else None, GateFailure(reason, None, ()))

    async def _beat(self, running: StoredJournal) -> None:
        """Tells other processes that this one is there, and hears from them that somebody has asked to stop."""
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            try:
                running.stop |= await self._store.alive(running.deployment_id, self._owner)
            except ToolFailure as error:
                log.warning("the state could not be written: %s", error)

    async def _standing(self, target: Target, seen: Observed) -> plans.Standing:
        platform = self.platform(target)
        newest_first = sorted(seen.instances, key=lambda each: each.started_at or datetime.min.replace(tzinfo=UTC), reverse=True)
        kept: dict[str, Release] = {}
        for name in dict.fromkeys(each.release for each in newest_first if each.started_at is not None):
            release = await platform.release(target, name)
            if release is not None:
                kept[name] = release
        used = {each.release for each in seen.instances} | await self._store.used_names(target)
        proven = await self._store.once_live(target)
        return plans.Standing(seen, kept.get(seen.live[0]) if seen.live else None, kept, proven, used)

    def _checks(
        self, draft: plans.Draft, seen: Observed, environment: Environment, now: datetime, *, gone: bool
    ) -> list[PlanCheck]:
        """What has nothing to do with the platform. *gone*: the process that holds the lock has died."""
        checks: list[PlanCheck] = []
        if seen.lock is not None:
            what = (
                f"its process has died; opsroom-deployments reconcile {draft.wish.target} frees it"
                if gone
                else "wait for its end"
            )
            detail = f"{seen.lock.holder} changes it since {seen.lock.since.isoformat()}; {what}"
            checks.append(PlanCheck(name="lock", ok=False, detail=detail))
        freeze = policy.freeze_at(environment, now, draft.wish.action)
        if freeze is not None:
            detail = _frozen(draft.wish.target.environment, freeze.end, freeze.reason)
            checks.append(PlanCheck(name="freeze", ok=False, detail=detail))
        if not self._may_change(draft.wish.target.environment):
            detail = _out_of_reach(draft.wish.target.environment, self._settings.write_environments)
            checks.append(PlanCheck(name="permission", ok=False, detail=detail))
        if draft.release is not None and not draft.diff and draft.wish.action != "restart":
            checks.append(PlanCheck(name="change", ok=True, detail="nothing is different from what is live"))
        return checks

    async def _clashes(self, draft: plans.Draft) -> list[PlanCheck]:
        """Whether the stable port is promised to another service of the same platform, which may not run yet."""
        release = draft.release
        if release is None:
            return []
        others = [
            str(target)
            for target, definition in await self.targets()
            if target != release.target
            and self.environment(target.environment).platform == self.environment(release.target.environment).platform
            and definition.environments[target.environment].publish == release.publish
        ]
        detail = f"{release.publish} is that of {', '.join(others)} too; give another publish"
        return [PlanCheck(name="publish", ok=False, detail=detail)] if others else []

    def _needs_approval(self, target: Target, release: Release | None, risk: Risk) -> bool:
        """What the environment asks for or this server asks for, the stricter; and secrets that a caller has named, always."""
        asked = policy.stricter(self.environment(target.environment).approve, self._settings.approve)
        named_by_caller = target.service not in self._settings.services and release is not None and bool(release.secrets)
        return named_by_caller or policy.needs_approval(asked, risk)

    def _may_change(self, environment: str) -> bool:
        allowed = self._settings.write_environments
        return not allowed or any(fnmatchcase(environment, pattern) for pattern in allowed)

    def _check_environment(self, environment: str) -> None:
        if not self._may_change(environment):
            raise NotPermitted(_out_of_reach(environment, self._settings.write_environments))

    async def _check_lock(self, target: Target) -> None:
        lock = (await self.platform(target).observe(target)).lock
        if lock is not None:
            raise Conflict(
                f"{target} is being changed by {lock.holder} since {lock.since.isoformat()}. Wait until that has ended."
            )

    async def _check_unchanged(self, record: PlanRecord, order: Order) -> None:
        """The digest of the plan, made anew for the state as it is now, is the same; otherwise the plan is stale."""
        seen = await self.platform(order.target).observe(order.target)
        wish = plans.Wish(order.target, order.action)
        draft = plans.Draft(wish, order.release, order.replicas, order.before, (), (), 0.0, definition_changed=False)
        if plans.digest_of(draft, seen, record.plan_id) != record.digest:
            live = ", ".join(seen.live) or "nothing"
            raise Conflict(
                f"{order.target} is not as the plan {record.plan_id} found it: live is {live} with {seen.replicas} replicas, "
                f"and it was planned from {order.before or 'nothing'}. Make a new plan."
            )

    def _order(self, record: PlanRecord) -> Order:
        return _ORDER.validate_python(record.order)

    async def _note(self, what: str, target: Target, caller: Caller, why: str, **detail: object) -> None:
        row = AuditRecord(datetime.now(UTC), what, str(target), caller.who, caller.client, why, detail)
        await self._store.note(row)


def _failure(outcome: Outcome) -> Mapping[str, object] | None:
    if outcome.failure is None:
        return {"reason": outcome.note} if outcome.note and outcome.state != "succeeded" else None
    about = asdict(outcome.failure)
    last_probe = outcome.failure.last_probe
    about["last_probe"] = redact(last_probe) if last_probe else None
    return {**about, "reason": redact(outcome.failure.reason), "log_tail": [redact(line) for line in outcome.failure.log_tail]}


def _next_step(record: DeploymentRecord) -> str | None:
    match record.state:
        case "failed" | "aborted" if record.after is not None:
            return f"Nothing to roll back: {record.after} was never stopped. release_logs shows what the new release said."
        case "rolled_back":
            return f"{record.after} gets the requests again. release_logs shows what the new release said."
        case "failed":
            return "Nothing is live. release_logs shows what the release said; plan another deploy."
        case _:
            return None


def _frozen(environment: str, end: datetime, reason: str) -> str:
    why = f" ({reason})" if reason else ""
    return f"{environment} is frozen until {end.isoformat()}{why}; only a rollback is allowed"


def _out_of_reach(environment: str, allowed: Sequence[str]) -> str:
    return f"this server may change {', '.join(allowed)} only, and not {environment}; a person can do it elsewhere"
