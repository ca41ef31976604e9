"""What can be found out about a release before a container of it is made, each with what to write instead."""

import shutil
import socket

from opsroom_shared.errors import InvalidInput, NotFound, NotPermitted, ToolFailure

from ...vocabulary import PlanCheck
from .. import Release
from ..secret_values import check_secret
from . import containers
from .engine import DockerEngine
from .wire import Image

_LEAST_DISK = 1 << 30


async def checks(engine: DockerEngine, release: Release, proxy_image: str, bind: str) -> list[PlanCheck]:
    """Raises Unavailable where the engine does not answer."""
    if not release.image:
        detail = 'the service has no image; add image = "registry.example/checkout" to it'
        return [PlanCheck(name="image", ok=False, detail=detail)]
    image = await engine.image(release.image)
    return [
        await _image(engine, "image", release.image, image),
        await _image(engine, "proxy image", proxy_image, await engine.image(proxy_image)),
        _container_port(release, image),
        _probe(release, image),
        *(check_secret(name, where) for name, where in release.secrets.items()),
        await _published_port(engine, release, bind),
        *await _room(engine, release),
    ]


async def _image(engine: DockerEngine, name: str, reference: str, image: Image | None) -> PlanCheck:
    if image is not None:
        return PlanCheck(name=name, ok=True, detail=f"{reference} is there")
    try:
        await engine.ask_registry(reference)
    except (NotFound, NotPermitted, InvalidInput) as error:
        detail = (
            f"{reference} is neither on the engine nor in its registry, or it is not for us: give a version that was pushed, "
            f"or docker login on the engine's machine. {error}"
        )
        return PlanCheck(name=name, ok=False, detail=detail)
    except ToolFailure as error:
        detail = (
            f"{reference} is not on the engine, and its registry does not answer: check the name of the registry, or load the "
            f"image with docker pull or docker load. {error}"
        )
        return PlanCheck(name=name, ok=False, detail=detail)
    return PlanCheck(name=name, ok=True, detail=f"{reference} will be pulled")


def _container_port(release: Release, image: Image | None) -> PlanCheck:
    exposed = sorted(image.config.exposed_ports) if image and image.config else []
    if release.port:
        return PlanCheck(name="container port", ok=True, detail=str(release.port))
    there = f"the image exposes {', '.join(exposed)}" if exposed else "such as 8080"
    return PlanCheck(name="container port", ok=False, detail=f"add port = … to the service, on which it listens; {there}")


def _probe(release: Release, image: Image | None) -> PlanCheck:
    if release.probe is not None:
        return PlanCheck(name="probe", ok=True, detail=f"GET {release.probe.path}")
    add = 'add probe = { path = "/healthz" } to the service'
    if image is None:
        detail = f"the image is not on the engine, so whether it has a HEALTHCHECK is not known; {add}, or pull the image first"
        return PlanCheck(name="probe", ok=False, detail=detail)
    if image.healthcheck is None:
        return PlanCheck(name="probe", ok=False, detail=f"the image has no HEALTHCHECK; {add}, or a HEALTHCHECK to the image")
    return PlanCheck(name="probe", ok=True, detail="the HEALTHCHECK of the image")


async def _published_port(engine: DockerEngine, release: Release, bind: str) -> PlanCheck:
    port = release.publish
    own = containers.proxy_name(release.target, port)
    for each in await engine.find({}):
        publishes = any(found.public_port == port and _overlaps(found.ip, bind) for found in each.ports)
        proxies = containers.role_of(each) == "proxy" and containers.publish_of(each.labels) == port
        if each.name == own:
            if publishes:
                return PlanCheck(name="port", ok=True, detail=f"{port} is held already")
        elif publishes or proxies:
            whose = containers.target_of(each) or f"the container {each.name}"
            return PlanCheck(name="port", ok=False, detail=f"{port} is that of {whose}; give another publish")
    if engine.is_local:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((bind, port))
            except PermissionError:
                pass  # the engine may do what this process may not
            except OSError as error:
                detail = f"{bind}:{port} cannot be held: {error.strerror}; give another publish, or another bind of the platform"
                return PlanCheck(name="port", ok=False, detail=detail)
    return PlanCheck(name="port", ok=True, detail=f"{port} is free")


async def _room(engine: DockerEngine, release: Release) -> list[PlanCheck]:
    """Memory for all that is to run, and disk where the engine's is that of this machine."""
    about = await engine.info()
    found: list[PlanCheck] = []
    wanted, there = (release.resources.memory_mib or 0) * max(release.replicas, 1), about.mem_total >> 20
    if wanted and there:
        detail = f"{wanted} MiB wanted, the engine's machine has {there} MiB"
        fix = "" if wanted <= there else "; lower resources.memory_mib or replicas"
        found.append(PlanCheck(name="memory", ok=wanted <= there, detail=detail + fix))
    if engine.is_local and about.docker_root_dir:
        try:
            free = shutil.disk_usage(about.docker_root_dir).free
        except OSError:
            return found  # the engine runs in a machine of its own
        detail = f"{free >> 20} MiB free in {about.docker_root_dir}"
        fix = "" if free >= _LEAST_DISK else "; docker image prune makes room"
        found.append(PlanCheck(name="disk", ok=free >= _LEAST_DISK, detail=detail + fix))
    return found


def _overlaps(one: str, other: str) -> bool:
    everywhere = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not listened at
    return one == other or one in everywhere or other in everywhere
