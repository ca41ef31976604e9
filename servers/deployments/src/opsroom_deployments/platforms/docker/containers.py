"""Containers as the Docker Engine is asked to make them: their names, their labels, and how little they may do. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Final, cast

from pydantic import JsonValue, TypeAdapter

from ...vocabulary import LockHolder
from .. import Release, Target
from . import haproxy
from .wire import Image, Listed

NETWORK: Final = "opsroom"
_ROLE, _SERVICE, _ENVIRONMENT = "opsroom.role", "opsroom.service", "opsroom.environment"
_RELEASE, _NUMBER, _FACTS, _BY = "opsroom.release", "opsroom.number", "opsroom.facts", "opsroom.created-by"
_PLAN, _IMAGE, _HOLDER, _PUBLISH = "opsroom.plan", "opsroom.image", "opsroom.holder", "opsroom.publish"
_NOBODY = "65534:65534"
_PROCESSES = 1024
_RELEASES: TypeAdapter[Release] = TypeAdapter(Release)


def instance_name(target: Target, release: str, number: int) -> str:
    return f"{target.service}.{target.environment}.{release}.{number}"


def lock_name(target: Target) -> str:
    return f"{target.service}.{target.environment}.lock"


def proxy_name(target: Target, publish: int) -> str:
    """With its port: a container cannot get another one, so a service that moves gets a second proxy beside the first."""
    return f"{target.service}.{target.environment}.proxy-{publish}"


def probe_name(target: Target, release: str, number: int) -> str:
    return f"{instance_name(target, release, number)}.probe"


def labels_of(target: Target) -> dict[str, str]:
    """What all containers of a target carry."""
    return {_SERVICE: target.service, _ENVIRONMENT: target.environment}


def role_of(container: Listed) -> str:
    return container.labels.get(_ROLE, "")


def target_of(container: Listed) -> str:
    """The target that a container of ours belongs to, empty for those of others."""
    service, environment = container.labels.get(_SERVICE), container.labels.get(_ENVIRONMENT)
    return f"{service}/{environment}" if service and environment else ""


def placed_of(labels: Mapping[str, str]) -> tuple[str, int]:
    return labels[_RELEASE], int(labels[_NUMBER])


def created_by(labels: Mapping[str, str]) -> str | None:
    return labels.get(_BY)


def image_of(labels: Mapping[str, str]) -> str | None:
    return labels.get(_IMAGE)


def publish_of(labels: Mapping[str, str]) -> int:
    return int(labels[_PUBLISH])


def release_of(labels: Mapping[str, str]) -> Release:
    return _RELEASES.validate_json(labels[_FACTS])


def holder_of(labels: Mapping[str, str]) -> LockHolder:
    return LockHolder.model_validate_json(labels[_HOLDER])


def instance(release: Release, number: int, image: Image, secrets: Mapping[str, str]) -> dict[str, JsonValue]:
    """An instance. Its labels are facts that never change, and hold no secret: where the values are, not what they are."""
    facts = cast("JsonValue", _RELEASES.dump_python(release, mode="json"))
    digest = next(iter(image.repo_digests), image.id)
    labels: dict[str, JsonValue] = {
        **labels_of(release.target),
        _ROLE: "instance",
        _RELEASE: release.name,
        _NUMBER: str(number),
        _BY: release.created_by,
        _PLAN: release.plan_id,
        _IMAGE: release.image if release.image and "@" in release.image else f"{release.image} ({digest})",
        _FACTS: json.dumps(facts),
    }
    variables, user = {**release.environment, **secrets}, _user(release, image)
    config: dict[str, JsonValue] = {
        "Image": release.image,
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Labels": labels,
        "User": user,
        "StopTimeout": int(release.grace_seconds + 0.999),
        "HostConfig": {
            **_least(user, processes=release.resources.processes or _PROCESSES, temporary_mib=64),
            **_memory(release.resources.memory_mib),
            "NanoCpus": int((release.resources.cpus or 0) * 1_000_000_000),
            "RestartPolicy": {"Name": "unless-stopped"},
            "NetworkMode": NETWORK,
        },
    }
    if release.command:
        config["Cmd"] = [*release.command]
    return config


def lock(target: Target, holder: LockHolder, image: str) -> dict[str, JsonValue]:
    """It is never started: that its name is taken is all there is to it."""
    labels: dict[str, JsonValue] = {**labels_of(target), _ROLE: "lock", _HOLDER: holder.model_dump_json()}
    return {"Image": image, "Entrypoint": ["opsroom-lock"], "Labels": labels, "HostConfig": {"NetworkMode": "none"}}


def proxy(target: Target, publish: int, bind: str, image: str) -> dict[str, JsonValue]:
    """The only thing that publishes a port. It listens on the same number inside, so that neighbours find it as callers do."""
    port = f"{publish}/tcp"
    labels: dict[str, JsonValue] = {**labels_of(target), _ROLE: "proxy", _PUBLISH: str(publish)}
    return {
        **_haproxy(image, ["-W"]),
        "Labels": labels,
        "ExposedPorts": {port: {}},
        # The engine does not restart what was sent its stop signal, and without one of its own any signal is taken for it.
        "StopSignal": "SIGUSR1",
        "HostConfig": {
            **_least(_NOBODY, processes=100, temporary_mib=8),
            **_memory(512),
            # Any signal counts as a stop by hand, after which `unless-stopped` would leave it down when the engine comes back.
            "RestartPolicy": {"Name": "always"},
            "NetworkMode": NETWORK,
            "PortBindings": {port: [{"HostIp": bind, "HostPort": str(publish)}]},
            "Mounts": [{"Type": "volume", "Target": haproxy.FOLDER}],
        },
        "NetworkingConfig": {"EndpointsConfig": {NETWORK: {"Aliases": [f"{target.service}.{target.environment}"]}}},
    }


def probe(target: Target, release: str, number: int, image: str) -> dict[str, JsonValue]:
    """A proxy that publishes nothing and only asks one instance how it is."""
    labels: dict[str, JsonValue] = {**labels_of(target), _ROLE: "probe", _RELEASE: release, _NUMBER: str(number)}
    return {
        **_haproxy(image, []),
        "Labels": labels,
        "HostConfig": {
            **_least(_NOBODY, processes=50, temporary_mib=8),
            **_memory(128),
            "RestartPolicy": {"Name": "no"},
            "NetworkMode": NETWORK,
            "Mounts": [{"Type": "volume", "Target": haproxy.FOLDER}],
        },
    }


def _haproxy(image: str, flags: Sequence[str]) -> dict[str, JsonValue]:
    return {
        "Image": image,
        "Entrypoint": ["haproxy", *flags, "-db", "-f", haproxy.FILE],
        "Cmd": [],
        "User": _NOBODY,
        "Healthcheck": {"Test": ["NONE"]},
    }


def _least(user: str, *, processes: int, temporary_mib: int) -> dict[str, JsonValue]:
    """As little as a container can do with: it writes to /tmp alone, and gains nothing that it was not given."""
    # When a container is started again, runc forgets the mode of an image's missing /tmp; to its owner it stays writable.
    uid, _, gid = user.partition(":")
    owner = f",uid={uid},gid={gid or uid}" if uid.isdecimal() and (gid or uid).isdecimal() else ""
    return {
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": f"rw,noexec,nosuid,nodev,mode=1777,size={temporary_mib}m{owner}"},  # noqa: S108 - of the container
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": processes,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
    }


def _memory(mib: int | None) -> dict[str, JsonValue]:
    """The same with swap: an instance that pages is slower than one that is started again."""
    return {} if mib is None else {"Memory": mib << 20, "MemorySwap": mib << 20}


def _user(release: Release, image: Image) -> str:
    """The one that is asked for, else the image's own as long as that is not root, else nobody."""
    if release.user is not None:
        return release.user
    own = image.config.user if image.config else ""
    return own if own and own.split(":")[0] not in ("root", "0") else _NOBODY
