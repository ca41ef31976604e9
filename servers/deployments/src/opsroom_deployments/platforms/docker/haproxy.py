"""The proxy's configuration as text: what it says of the live instances is the live pointer. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import quote

from ...spec import Probe

FOLDER = "/etc/opsroom"
FILE = f"{FOLDER}/haproxy.cfg"
CANDIDATE = f"{FOLDER}/candidate.cfg"
"""Written, and checked, before the file itself: one of the two is whole whatever happens to the engine in between."""

_END = "# end of the live pointer"
_LIVE = re.compile(r"# live (\S+) (\d+)")
_GENERATION = re.compile(r"# generation (\d+)")
_MOST_IDLE_SECONDS = 10.0
_LEAST_IDLE_SECONDS = 1.0
_REQUEST_SECONDS = 60.0
_CHECK_SECONDS = 1.0
_HEALTH_LINE = re.compile(r"Health check for server [^/\s]+/(?P<server>\S+) (?P<what>.*?), status: \d+/\d+ (?P<state>UP|DOWN)")


@dataclass(frozen=True)
class Server:
    """An instance as the proxy knows it: the name of its container is its address on the private network."""

    container: str
    release: str
    number: int
    port: int
    probe: Probe | None
    drain_seconds: float
    grace_seconds: float


@dataclass(frozen=True)
class Pointer:
    """Which instances get requests, as it was read back from a configuration."""

    generation: int
    instances: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Checked:
    """What the proxy said last of an instance that it checks."""

    up: bool
    words: str


def configuration(generation: int, publish: int, servers: tuple[Server, ...]) -> str:
    """The whole configuration of a proxy that listens on *publish* and leads to *servers*."""
    drain = max((each.drain_seconds for each in servers), default=5.0)
    grace = max((each.grace_seconds for each in servers), default=10.0)
    # a connection that is idle has to go before the instance behind it does, or its next request would meet nobody
    idle = min(_MOST_IDLE_SECONDS, max(_LEAST_IDLE_SECONDS, drain - 1))
    request = max(_REQUEST_SECONDS, drain)
    # two releases that are asked differently are only connected to
    probe = servers[0].probe if servers and all(each.probe == servers[0].probe for each in servers) else None
    lines = [
        "# The live pointer, written by opsroom-deployments: what it names gets the requests. Do not edit it.",
        f"# generation {generation}",
        *(f"# live {each.release} {each.number}" for each in servers),
        "global",
        "  log stdout format raw local0 notice",
        "  stats socket /tmp/haproxy.sock mode 600 level user expose-fd listeners",
        f"  hard-stop-after {_milliseconds(drain + grace + 10)}",
        "  fd-hard-limit 20000",
        "defaults",
        "  mode http",
        "  log global",
        "  option log-health-checks",
        "  option idle-close-on-response",
        "  option http-server-close",
        "  option redispatch",
        "  option forwardfor",
        "  retries 2",
        "  timeout connect 2s",
        f"  timeout client {_milliseconds(request)}",
        f"  timeout server {_milliseconds(request)}",
        "  timeout tunnel 1h",
        f"  timeout http-keep-alive {_milliseconds(idle)}",
        f"  timeout http-request {_milliseconds(idle)}",
        *_resolvers(),
        "frontend service",
        f"  bind :{publish}",
        "  default_backend live",
        "backend live",
        "  balance leastconn",
        *_check(probe),
        *(_server(each, max(_CHECK_SECONDS, probe.interval_seconds if probe else 0), "fall 3 rise 1") for each in servers),
        _END,
        "",
    ]
    return "\n".join(lines)


def probing(server: Server, probe: Probe) -> str:
    """The configuration of a proxy that takes no requests, and only tells in its log how *server* answers *probe*."""
    lines = [
        "global",
        "  log stdout format raw local0 notice",
        "  maxconn 20",
        "defaults",
        "  mode http",
        "  log global",
        "  option log-health-checks",
        f"  timeout connect {_milliseconds(probe.timeout_seconds)}",
        f"  timeout check {_milliseconds(probe.timeout_seconds)}",
        "  timeout client 5s",
        "  timeout server 5s",
        *_resolvers(),
        "frontend nobody",  # the proxy does not start with nothing to listen at
        "  bind unix@/tmp/nobody.sock",
        "backend gate",
        *_check(probe),
        _server(server, probe.interval_seconds, "fall 1 rise 1"),
        "",
    ]
    return "\n".join(lines)


def parse(text: str) -> Pointer | None:
    """None where the text is not whole."""
    generation = _GENERATION.search(text)
    if generation is None or not text.rstrip().endswith(_END):
        return None
    return Pointer(int(generation[1]), tuple((name, int(number)) for name, number in _LIVE.findall(text)))


def health_of(line: str) -> tuple[str, Checked] | None:
    """The server, and how it does, where a line of the proxy's log is about that."""
    found = _HEALTH_LINE.search(line)
    return (found["server"], Checked(found["state"] == "UP", found["what"])) if found else None


def _resolvers() -> list[str]:
    """Docker's own name server. A name that is not known yet must not keep the proxy from starting."""
    return ["resolvers docker", "  nameserver docker 127.0.0.11:53", "  hold valid 1s"]


def _check(probe: Probe | None) -> list[str]:
    if probe is None:
        return []
    # encoded, so that nothing in a path can end the line or mean something to the proxy
    path = quote(probe.path, safe="/?&=%:@~!,;+*()-._")
    return [
        "  option httpchk",
        f"  http-check send meth GET uri {path} ver HTTP/1.1 hdr Host localhost hdr User-Agent opsroom-probe",
        "  http-check expect rstatus ^[23]",
        f"  timeout check {_milliseconds(probe.timeout_seconds)}",
    ]


def _server(server: Server, interval: float, thresholds: str) -> str:
    port = f" port {server.probe.port}" if server.probe and server.probe.port else ""
    return (
        f"  server {server.container} {server.container}:{server.port} check{port} inter {_milliseconds(interval)} {thresholds} "
        "resolvers docker init-addr libc,none"
    )


def _milliseconds(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
