"""A target as a reader sees it: pure, from its definition and what was observed."""

from .models import ReleaseStatus, ServiceStatus
from .plans import spec_hash
from .platforms import Instance, Observed, Release, Target
from .spec import Service
from .vocabulary import Health


def status_of(target: Target, platform: str, service: Service, seen: Observed, live: Release | None) -> ServiceStatus:
    releases = [_release(name, seen) for name in dict.fromkeys(each.release for each in seen.instances)]
    releases.sort(
        key=lambda release: (not release.live, release.since is None, -(release.since.timestamp() if release.since else 0))
    )
    return ServiceStatus(
        service=target.service,
        environment=target.environment,
        platform=platform,
        address=seen.address,
        live=seen.live[0] if seen.live else None,
        replicas=seen.replicas,
        releases=releases,
        lock=seen.lock,
        drift=_drift(target, service, seen, live),
        problems=[*seen.problems, *_problems(seen)],
    )


def _release(name: str, seen: Observed) -> ReleaseStatus:
    instances = seen.of(name)
    running = [each for each in instances if each.health != "stopped"]
    started = [each.started_at for each in instances if each.started_at is not None]
    return ReleaseStatus(
        release=name,
        live=name in seen.live,
        health=_worst(running),
        image=instances[0].image,
        replicas=len(running),
        healthy=sum(each.health == "healthy" for each in running),
        restarts=sum(each.restarts for each in instances),
        since=min(started) if started else None,
        by=instances[0].created_by,
    )


def _worst(running: list[Instance]) -> Health:
    order: tuple[Health, ...] = ("unhealthy", "starting", "unknown", "healthy")
    states = {each.health for each in running}
    for state in order:
        if state in states:
            return state
    return "stopped"


def _drift(target: Target, service: Service, seen: Observed, live: Release | None) -> list[str]:
    if live is None:
        return []
    found: list[str] = []
    if live.spec_hash != spec_hash(service, target.environment):
        found.append("the definition has changed since the live release was made; a deploy or restart plan shows how")
    own = service.environments.get(target.environment)
    wanted = own.replicas if own is not None and own.replicas is not None else service.replicas
    if wanted != seen.replicas:
        found.append(f"{seen.replicas} replicas get requests, and the definition says {wanted}")
    return found


def _problems(seen: Observed) -> list[str]:
    found: list[str] = []
    for each in seen.instances:
        what = f"{each.release} #{each.number}"
        if each.live and each.health == "stopped":
            found.append(f"{what} should get requests and does not run" + (f" (exit {each.exit_code})" if each.exit_code else ""))
        elif each.live and each.health == "unhealthy":
            found.append(f"{what} is unhealthy")
        if each.live and each.restarts:
            found.append(f"{what} was restarted {each.restarts} times")
    if len(seen.live) > 1 and seen.lock is None:
        found.append(f"two releases get requests and nobody is changing it: {', '.join(seen.live)}")
    return found
