"""The shop of the demo: how its services behave over time, their history in the store, and their life while a server runs."""

import asyncio
import fcntl
import itertools
import math
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .demo import deployments
from .demo_logs import LogWriter
from .settings import LocalRule
from .sources.local.exposition import Description, LabelSet
from .sources.local.replay import replay
from .sources.local.store import Floats, Store

_SEED = 20_240_229
_STEP = 15.0
_HISTORY = 24 * 3_600.0
_RULES_HISTORY = 6 * 3_600.0
_LIVE_SECONDS = 5.0
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, math.inf)
_STATUSES = ("200", "404", "500")
_ABOUT = {
    "http_requests_total": Description("counter", "Requests by route and status."),
    "http_request_duration_seconds": Description("histogram", "How long requests took.", "seconds"),
    "build_info": Description("gauge", "The release that answers."),
    "queue_depth": Description("gauge", "Jobs that wait."),
    "db_connections_in_use": Description("gauge", "Connections of the pool that are taken."),
    "process_resident_memory_bytes": Description("gauge", "Memory of the process.", "bytes"),
    "cache_lookups_total": Description("counter", "Lookups in the cache by outcome."),
    "up": Description("gauge", "Whether the target answered."),
}


@dataclass(frozen=True)
class _Route:
    method: str
    path: str
    per_second: float
    median: float


@dataclass(frozen=True)
class _Behaviour:
    """How a release behaves from a time on, against how the service usually is."""

    begins: float
    version: str
    slower: float = 1.0
    failing: float = 0.002
    queueing: float = 1.0


_ROUTES: Mapping[str, Sequence[_Route]] = {
    "checkout": (_Route("GET", "/cart", 9.0, 0.016), _Route("POST", "/orders", 4.0, 0.042), _Route("POST", "/pay", 2.5, 0.065)),
    "payments": (
        _Route("POST", "/charge", 2.5, 0.19),
        _Route("POST", "/refund", 0.1, 0.24),
        _Route("GET", "/methods", 3.0, 0.011),
    ),
    "catalog": (
        _Route("GET", "/products", 22.0, 0.008),
        _Route("GET", "/search", 6.0, 0.035),
        _Route("GET", "/images", 31.0, 0.004),
    ),
}


def _behaviours(story: float) -> Mapping[str, Sequence[_Behaviour]]:
    hours = 3_600.0
    return {
        "checkout": (
            _Behaviour(-math.inf, "1.4.0", slower=1.1),
            _Behaviour(story - 20 * hours, "1.4.1"),
            _Behaviour(story - 2.6 * hours, "1.5.0", failing=0.4),
            _Behaviour(story - 2.6 * hours + 60, "1.4.1"),
            _Behaviour(story, "1.5.1", slower=9.0, failing=0.03, queueing=4.0),
        ),
        "payments": (_Behaviour(-math.inf, "2.3.1"),),
        "catalog": (_Behaviour(-math.inf, "0.9.3"), _Behaviour(story - 8.2 * hours, "0.9.4")),
    }


class Service:
    """One service: its series, and how far its counters are."""

    def __init__(self, name: str, story: float) -> None:
        self.name = name
        self._routes, self._behaviours = _ROUTES[name], _behaviours(story)[name]
        self.series: list[tuple[str, LabelSet]] = []
        self.versions = sorted({each.version for each in self._behaviours})
        for route in self._routes:
            base = {"service": name, "method": route.method, "route": route.path}
            self.series += [("http_requests_total", _sorted(base, status=status)) for status in _STATUSES]
            self.series += [
                ("http_request_duration_seconds_bucket", _sorted(base, le="+Inf" if bound == math.inf else f"{bound:g}"))
                for bound in _BOUNDS
            ]
            self.series += [(f"http_request_duration_seconds_{part}", _sorted(base)) for part in ("sum", "count")]
        plain = {"service": name}
        self.series += [("cache_lookups_total", _sorted(plain, outcome=outcome)) for outcome in ("hit", "miss")]
        self._counters = len(self.series)
        self.series += [
            (gauge, _sorted(plain)) for gauge in ("queue_depth", "db_connections_in_use", "process_resident_memory_bytes")
        ]
        self.totals = np.zeros(self._counters)

    def advance(self, times: Floats, seconds: float) -> Floats:
        """The values at *times*, which are *seconds* apart; the counters go on from where they are."""
        dice = np.random.default_rng((_SEED, sum(self.name.encode()), int(times[0])))
        begins = np.array([each.begins for each in self._behaviours])
        which = np.searchsorted(begins, times, side="right") - 1
        slower, failing, queueing = np.array([(each.slower, each.failing, each.queueing) for each in self._behaviours])[which].T
        # most is sold in the evening, least at night
        hour = (times / 3_600.0) % 24
        load = 1.0 + 0.35 * np.sin((hour - 13.0) / 24 * 2 * np.pi)
        columns: list[Floats | npt.NDArray[np.int64]] = []
        every = np.zeros(len(times), dtype=np.int64)
        for route in self._routes:
            count = np.asarray(dice.poisson(route.per_second * load * seconds), dtype=np.int64)
            every += count
            failed = np.asarray(dice.binomial(count, failing), dtype=np.int64)
            unknown = np.asarray(dice.binomial(count - failed, 0.004), dtype=np.int64)
            columns += [count - failed - unknown, unknown, failed]
            median = route.median * slower * np.exp(dice.normal(0.0, 0.03, len(times)))
            shares = _shares(median)
            per_bucket = dice.multinomial(count, shares)
            columns += [np.asarray(row, dtype=np.int64) for row in np.cumsum(per_bucket, axis=1).T]
            columns += [count * median * 1.2, count]
        hits = np.asarray(dice.binomial(every, 0.91), dtype=np.int64)
        columns += [hits, every - hits]
        counters = np.cumsum(np.stack([np.asarray(each, dtype=np.float64) for each in columns], axis=1), axis=0) + self.totals
        self.totals = counters[-1].copy()
        gauges = np.stack(
            [
                np.asarray(dice.poisson(12.0 * load * queueing), dtype=np.float64),
                np.minimum(np.asarray(dice.poisson(7.0 * load * queueing), dtype=np.float64), 50.0),
                (180.0 + 20.0 * load + dice.normal(0.0, 1.5, len(times))).round(1) * 1e6,
            ],
            axis=1,
        )
        return np.concatenate([counters, gauges], axis=1)

    def version_at(self, at: float) -> str:
        return [each.version for each in self._behaviours if each.begins <= at][-1]

    def build_info(self, version: str) -> tuple[str, LabelSet]:
        return "build_info", _sorted({"service": self.name}, version=version)


def _shares(median: Floats) -> Floats:
    """How many of the requests fall into each bucket, where times are log-normal around *median*."""
    sigma = 0.6
    bounds = np.array(_BOUNDS[:-1])
    deviations = np.log(bounds[np.newaxis, :] / median[:, np.newaxis]) / sigma
    # the logistic curve is near enough to the normal one here
    below = 1.0 / (1.0 + np.exp(np.clip(-1.702 * deviations, -500, 500)))
    whole = np.concatenate([below, np.ones((len(median), 1))], axis=1)
    shares = np.diff(whole, axis=1, prepend=0.0)
    return shares / shares.sum(axis=1, keepdims=True)


def _sorted(labels: Mapping[str, str], **more: str) -> LabelSet:
    return tuple(sorted({**labels, **more}.items()))


def make_world(folder: Path, story: float, rules: tuple[LocalRule, ...]) -> None:
    """Writes the history into *folder*, once: the last day of metrics, some hours of alerts, and logs."""
    done = folder / "made"
    with (folder / "making").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            return
        for left in (*folder.glob("telemetry.db*"), *folder.glob("*.log")):
            left.unlink()
        end = time.time()
        store = Store(folder / "telemetry.db", _HISTORY)
        try:
            store.now(lambda here: _fill(here, story, end, rules))
        finally:
            store.close()
        LogWriter(folder, story).write(end)
        done.touch()


def _fill(store: Store, story: float, end: float, rules: tuple[LocalRule, ...]) -> None:
    times = np.arange(end - _HISTORY, end, _STEP)
    for name in _ROUTES:
        service = Service(name, story)
        values = service.advance(times, _STEP)
        labels = {"job": name, "instance": f"{name}-1"}
        versions = np.array([service.version_at(float(at)) for at in times])
        edges = [0, *(np.flatnonzero(versions[1:] != versions[:-1]) + 1).tolist(), len(times)]
        for begin, behind in itertools.pairwise(edges):
            named = [*service.series, service.build_info(str(versions[begin])), ("up", ())]
            ones = np.ones((behind - begin, 2))
            store.append_history(
                f"target {name} {name}-1",
                [(metric, tuple(sorted({**dict(own), **labels}.items()))) for metric, own in named],
                times[begin:behind],
                np.concatenate([values[begin:behind], ones], axis=1),
            )
    store.describe(_ABOUT)
    replay(store, rules, np.arange(end - _RULES_HISTORY, end, 2 * _STEP))


class Shop:
    """The services as they live: their counters go on with the time."""

    def __init__(self, services: Sequence[Service], at: float, story: float, logs: LogWriter) -> None:
        self._services, self._at, self.story, self._logs = {each.name: each for each in services}, at, story, logs
        self._rows: dict[str, Floats] = {}

    @classmethod
    def resumed(cls, folder: Path, story: float) -> "Shop":
        """The shop where the store has left it."""
        services = [Service(name, story) for name in _ROUTES]
        store, now = Store(folder / "telemetry.db", _HISTORY), time.time()
        try:
            at = store.now(lambda here: [_resume(here, service, now) for service in services])[-1]
        finally:
            store.close()
        shop = cls(services, at, story, LogWriter(folder, story))
        shop.live(time.time())
        return shop

    def live(self, now: float) -> None:
        """What happens until *now*."""
        steps = max(1, round((now - self._at) / _LIVE_SECONDS))
        times = np.linspace(self._at, now, steps + 1)[1:]
        for service in self._services.values():
            self._rows[service.name] = service.advance(times, (now - self._at) / steps)[-1]
        self._logs.write(now)
        self._at = now

    def answer(self, path: str) -> str | None:
        """The body for *path*; None where there is nothing."""
        if path == "/deployments":
            return deployments(self.story)
        service = self._services.get(path.removeprefix("/").removesuffix("/metrics"))
        if service is None or not path.endswith("/metrics"):
            return None
        lines: list[str] = []
        for name, about in _ABOUT.items():
            lines += [f"# HELP {name} {about.help}", f"# TYPE {name} {about.type}"]
        row = self._rows[service.name]
        named = [*service.series, service.build_info(service.version_at(self._at))]
        for (name, labels), value in zip(named, [*row.tolist(), 1.0], strict=True):
            text = ",".join(f'{key}="{word}"' for key, word in labels)
            lines.append(f"{name}{{{text}}} {value:.17g}")
        return "\n".join(lines) + "\n"


def _resume(store: Store, service: Service, now: float) -> float:
    """Sets the counters of *service* to the last ones that are known; when that was."""
    source = f"target {service.name} {service.name}-1"
    known = {
        (each.name, tuple(sorted((key, value) for key, value in each.labels.items() if key not in ("job", "instance")))): each
        for each in store.known()
        if each.source == source
    }
    wanted = [known[key] for key in service.series[: len(service.totals)]]
    blocks = store.read(wanted, now - _HISTORY, now)
    service.totals = np.nan_to_num(blocks[0].values[-1].copy())
    return float(blocks[0].times[-1])


async def serve(listener: socket.socket, shop: Shop) -> None:
    """Answers on *listener* and lets the time pass, until it is cancelled."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10.0):
                head = await reader.readuntil(b"\r\n\r\n")
                words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
                body = shop.answer(words[1].partition("?")[0]) if len(words) == 3 and words[0] == "GET" else None
                kind = "application/json" if (body or "").startswith("[") else "text/plain; charset=utf-8"
                payload = (body or "there is no such page\n").encode()
                status = "200 OK" if body is not None else "404 Not Found"
                writer.write(
                    f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(payload)}\r\n"
                    "connection: close\r\n\r\n".encode()
                    + payload
                )
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked has gone, or did not speak HTTP
        finally:
            writer.close()

    async with await asyncio.start_server(answer, sock=listener, limit=16_384):
        while True:
            await asyncio.sleep(_LIVE_SECONDS)
            await asyncio.to_thread(shop.live, time.time())
