"""What a request would do to a target: pure, from its definition and what was observed, with a digest of both."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import cast

from opsroom_shared.errors import InvalidInput, NotFound
from opsroom_shared.redact import MASK

from .platforms import Observed, Release, Target
from .spec import Service
from .vocabulary import Action

_NOT_IN_NAMES = re.compile(r"[^a-z0-9.-]+")
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_IN_NAME = 40
_SECRET_NAME = re.compile(r"PASS|SECRET|TOKEN|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY|DSN|DATABASE_URL", re.IGNORECASE)
_SHOWN_VALUE = 200
_FIRST_FACTS = ("name", "image", "folder", "command", "publish", "secrets")
"""What is told of a release that comes from nothing, or goes."""
_TABLES = ("probe", "resources", "environment", "secrets")


@dataclass(frozen=True)
class Wish:
    """What somebody asks for."""

    target: Target
    action: Action
    version: str | None = None
    """To deploy: an image reference, a tag or digest of the service's image, or the folder of a process release."""
    release: str | None = None
    """To go back to; the newest kept one that is not live when it is left out."""
    replicas: int | None = None
    by: str = ""
    watch: bool = True
    """Whether the new release is watched for as long as its environment says."""


@dataclass(frozen=True)
class Draft:
    """What a plan consists of, before anybody has looked at whether it can be done."""

    wish: Wish
    release: Release | None
    """What is to be live afterwards."""
    replicas: int
    before: str | None
    diff: tuple[str, ...]
    steps: tuple[str, ...]
    downtime_seconds: float | None
    definition_changed: bool


@dataclass(frozen=True)
class Standing:
    """How a target stands when a plan for it is made."""

    seen: Observed
    live: Release | None
    """The release that gets the requests."""
    kept: Mapping[str, Release]
    """Those that can be gone back to, newest first."""
    proven: Collection[str]
    """Those of the kept ones that have been live: what somebody means who says "back"."""
    used_names: Collection[str]
    """Names of releases that cannot be taken again."""


def draft(service: Service, wish: Wish, standing: Standing, plan_id: str) -> Draft:
    """Raises InvalidInput and NotFound with what would be right."""
    seen, live = standing.seen, standing.live
    own = service.environments.get(wish.target.environment)
    replicas = wish.replicas
    if replicas is None:
        replicas = own.replicas if own is not None and own.replicas is not None else service.replicas
        if live is not None and wish.action in ("restart", "rollback"):
            replicas = seen.replicas or replicas
    release = _release(service, wish, standing, plan_id)
    if release is not None and replicas == 0:
        raise InvalidInput(f"{wish.target} has replicas = 0, so nothing would run. Give `replicas`, or plan the action stop.")
    if release is not None and release.plan_id == plan_id:
        release = replace(release, replicas=replicas)
    before = seen.live[0] if seen.live else None
    changes = tuple(_diff(live, release, seen.replicas, 0 if release is None else replicas))
    return Draft(
        wish=wish,
        release=release,
        replicas=0 if release is None else replicas,
        before=before,
        diff=changes,
        steps=tuple(_steps(wish, seen, release, replicas)),
        downtime_seconds=None if release is None or replicas == 0 else 0.0,
        definition_changed=live is not None and release is not None and _definition(live) != _definition(release),
    )


def digest_of(plan: Draft, seen: Observed, plan_id: str) -> str:
    """Stands for the plan and for the state that it was made for: another state, or another plan, has another one."""
    about = {
        "plan": plan_id,
        "target": str(plan.wish.target),
        "action": plan.wish.action,
        "replicas": plan.replicas,
        "release": _facts(plan.release) if plan.release else None,
        "state": fingerprint(seen),
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]


def fingerprint(seen: Observed) -> str:
    """What of a state a plan depends on: what is live and what can be gone back to, not how it is doing at the moment."""
    placed = sorted((each.release, each.number, each.live) for each in seen.instances)
    return hashlib.sha256(json.dumps([seen.live, seen.replicas, placed]).encode()).hexdigest()[:32]


def spec_hash(service: Service, environment: str) -> str:
    """Names a definition as it holds in an environment."""
    about = service.model_dump(mode="json", exclude={"environments"})
    own = service.environments.get(environment)
    about["own"] = own.model_dump(mode="json") if own else None
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def _release(service: Service, wish: Wish, standing: Standing, plan_id: str) -> Release | None:
    live = standing.live
    match wish.action:
        case "stop" | "remove":
            if live is None and not standing.seen.instances:
                raise NotFound(f"Nothing of {wish.target} is there to {wish.action}.")
            return None
        case "deploy":
            return _new(service, wish, standing, plan_id, _version(service, wish))
        case "restart":
            if live is None:
                raise NotFound(f"Nothing of {wish.target} is live, so there is nothing to restart. Plan a deploy instead.")
            return _new(service, wish, standing, plan_id, _version_of(live))
        case "scale":
            if live is None:
                raise NotFound(f"Nothing of {wish.target} is live, so there is nothing to scale. Plan a deploy instead.")
            if wish.replicas is None:
                raise InvalidInput("To scale, give `replicas`.")
            return live
        case "rollback":
            return _earlier(wish, standing)


def _earlier(wish: Wish, standing: Standing) -> Release:
    live, kept = standing.live, standing.kept
    there = [name for name in kept if live is None or name != live.name]
    listed = ", ".join(there[:10]) or "none"
    if wish.release is None:
        proven = [name for name in there if name in standing.proven]
        if not proven:
            raise NotFound(f"No earlier release of {wish.target} that has been live is kept. Kept, to be named: {listed}.")
        return kept[proven[0]]
    if live is not None and wish.release == live.name:
        raise InvalidInput(f"{wish.release} is live already. Kept to go back to: {listed}.")
    if wish.release not in kept:
        raise NotFound(f"The release {wish.release!r} of {wish.target} is not kept. Kept to go back to: {listed}.")
    return kept[wish.release]


def _version(service: Service, wish: Wish) -> str:
    if wish.version:
        return wish.version
    raise InvalidInput(
        "To deploy, give `version`: "
        + ("a tag, a digest or an image reference." if service.image else "the folder of a release, such as 1.4.0.")
    )


def _version_of(live: Release) -> str:
    return PurePath(live.folder).name if live.folder else live.image or live.name


def _new(service: Service, wish: Wish, standing: Standing, plan_id: str, version: str) -> Release:
    own = service.environments.get(wish.target.environment)
    publish = own.publish if own is not None and own.publish is not None else None
    if publish is None:
        raise InvalidInput(
            f"{wish.target} has no stable port. Add publish = 8080, or another free port, under "
            f"[services.{wish.target.service}.environments.{wish.target.environment}]."
        )
    image = image_reference(service.image, version) if service.image else None
    return Release(
        target=wish.target,
        name=_name(version, standing.used_names),
        image=image,
        command=service.command,
        folder=None if image else _folder(service, version),
        port=service.port or 0,
        probe=service.probe,
        replicas=service.replicas,
        strategy=service.strategy,
        resources=(own.resources if own else None) or service.resources,
        environment={**service.environment, **(own.environment if own else {})},
        secrets={**service.secrets, **(own.secrets if own else {})},
        user=service.user,
        drain_seconds=service.drain_seconds,
        grace_seconds=service.grace_seconds,
        publish=publish,
        created_by=wish.by,
        plan_id=plan_id,
        spec_hash=spec_hash(service, wish.target.environment),
    )


def _folder(service: Service, version: str) -> str:
    """Where a release of a process lies: directly below the folder of its releases, and nowhere else."""
    if service.releases is None:
        raise InvalidInput("The service has neither `image` nor `releases`, so there is nothing to deploy. Add one of them.")
    if not _FOLDER.fullmatch(version):
        raise InvalidInput(f"{version!r} is no name of a release: letters, digits, . _ - and no more, such as 1.4.0.")
    return str(service.releases.absolute() / version)


def image_reference(image: str, version: str) -> str:
    """`registry/checkout` and `1.4.0`, `sha256:…` or a whole reference, as one reference."""
    if version.startswith("sha256:"):
        return f"{image}@{version}"
    if "/" in version or ":" in version or "@" in version:
        return version
    return f"{image}:{version}"


def _name(version: str, used: Collection[str]) -> str:
    """A name that nobody has had: the version, with a number when it was released before."""
    tail = version.rpartition("@")[2].rpartition("/")[2].rpartition(":")[2] or "release"
    stem = _NOT_IN_NAMES.sub("-", tail.lower())[:_MOST_IN_NAME].strip(".-") or "release"
    name, number = stem, 1
    while name in used:
        number += 1
        name = f"{stem}-{number}"
    return name


def _definition(release: Release) -> dict[str, object]:
    facts = _facts(release)
    return {key: value for key, value in facts.items() if key not in ("name", "image", "folder", "replicas")}


def _facts(release: Release) -> dict[str, object]:
    return {
        "name": release.name,
        "image": release.image,
        "folder": release.folder,
        "command": [*release.command],
        "port": release.port,
        "probe": release.probe.model_dump() if release.probe else None,
        "replicas": release.replicas,
        "strategy": release.strategy,
        "resources": release.resources.model_dump(),
        "environment": dict(release.environment),
        "secrets": dict(release.secrets),
        "user": release.user,
        "drain_seconds": release.drain_seconds,
        "grace_seconds": release.grace_seconds,
        "publish": release.publish,
    }


def _diff(live: Release | None, release: Release | None, running: int, replicas: int) -> list[str]:
    """One line for each thing that will be different. Secrets are named and never shown."""
    lines: list[str] = []
    if replicas != running:
        lines.append(f"replicas: {running} → {replicas}")
    old, new = (_facts(live) if live else {}), (_facts(release) if release else {})
    keys = dict.fromkeys([*old, *new]) if live and release else _FIRST_FACTS
    for key in keys:
        before, after = old.get(key), new.get(key)
        if key == "replicas" or before == after:
            continue
        if key in _TABLES:
            lines += _diff_tables(key, _table(before), _table(after))
        else:
            lines.append(f"{key}: {_shown(before)} → {_shown(after)}")
    return lines


def _diff_tables(key: str, before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    lines: list[str] = []
    for name in dict.fromkeys([*before, *after]):
        if name in before and name in after and before[name] == after[name]:
            continue
        what = "removed" if name not in after else "added" if name not in before else "changed"
        if key == "secrets":  # where it is, which is no secret, and what whoever approves it has to know
            lines.append(f"secrets.{name} {what}" + (f", from {after[name]}" if name in after else ""))
        elif key == "environment" and _SECRET_NAME.search(name):
            lines.append(f"environment.{name}: {what} ({MASK})")
        else:
            lines.append(f"{key}.{name}: {_shown(before.get(name))} → {_shown(after.get(name))}")
    return lines


def _table(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value or {})


def _shown(value: object) -> str:
    if value is None or value == "":
        return "–"
    words = " ".join(cast("list[str]", value)) if isinstance(value, list) else str(value)
    return words if len(words) <= _SHOWN_VALUE else words[: _SHOWN_VALUE - 1] + "…"


def _steps(wish: Wish, seen: Observed, release: Release | None, replicas: int) -> list[str]:
    old = ", ".join(seen.live)
    if release is None:
        end = ["remove all its releases"] if wish.action == "remove" else [f"stop {old} and keep it"] if old else []
        return ["lock the service", "point the proxy to nothing: requests are refused from here on", *end, "unlock"]
    if wish.action == "scale":
        return ["lock the service", f"run {replicas} of {release.name}, one gate each", "switch the proxy", "unlock"]
    bring = f"start {replicas} of {release.name} beside {old or 'nothing'}, and wait until each is healthy"
    if release.strategy == "rolling" and old:
        bring = f"start {release.name} one by one, {replicas} in all: healthy, switched to, then one of {old} ended"
    rest = [f"let the requests of {old} end, stop it and keep it"] if old else []
    return ["lock the service", bring, "switch the proxy over", "watch it", *rest, "unlock"]
