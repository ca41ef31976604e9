"""One look at a target or a probe over HTTP, bounded in time and size."""

import asyncio
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2
from opsroom_shared.outside import clean
from opsroom_shared.redact import redact

from ...settings import LocalProbe, LocalTarget
from .exposition import Description, Exposed, LabelSet, parse_exposition

MAX_BODY = 8 << 20
_LONGEST = 10.0
_ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4,*/*;q=0.1"


@dataclass(frozen=True)
class Look:
    """What was seen, and what was wrong."""

    at: float
    samples: list[Exposed]
    about: dict[str, Description] = field(default_factory=dict[str, Description])
    problem: str | None = None


class TooMuch(Exception):
    """A body that is larger than what is read."""


def shown(url: str) -> str:
    """*url* without a name and a password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def identity(target: LocalTarget) -> dict[str, str]:
    """The labels that say where a sample came from."""
    return {"instance": urlsplit(target.url).netloc.rpartition("@")[2], **target.labels, "job": target.job}


def client() -> httpx2.AsyncClient:
    # a proxy of the environment is not asked for what stands in our own network
    return httpx2.AsyncClient(trust_env=False, follow_redirects=False, headers={"user-agent": "opsroom-monitoring"})


async def scrape(web: httpx2.AsyncClient, target: LocalTarget, seconds: float) -> Look:
    """The samples of *target*, and `up`. Never raises for what the other side does."""
    at, begun = time.time(), time.monotonic()
    own = identity(target)
    problem: str | None = None
    text = ""
    try:
        async with asyncio.timeout(min(seconds, _LONGEST)):
            status, body = await _fetched(web, target.url, {"accept": _ACCEPT}, MAX_BODY)
        text = body.decode(errors="replace")
        if status != 200:
            problem = f"HTTP {status}"
    except TooMuch:
        problem = f"answers with more than {MAX_BODY >> 20} MB"
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
        problem = _reason(error, min(seconds, _LONGEST))
    exposition = parse_exposition(text if problem is None else "")
    if problem is None and not exposition.samples and exposition.broken:
        problem = "does not answer in the text format of Prometheus"
    samples = [Exposed(each.name, _labelled(each.labels, own), each.value) for each in exposition.samples]
    meta = tuple(sorted(own.items()))
    samples += [
        Exposed("up", meta, 0.0 if problem else 1.0),
        Exposed("scrape_duration_seconds", meta, time.monotonic() - begun),
        Exposed("scrape_samples_scraped", meta, float(len(exposition.samples))),
        # broken lines and samples beyond the limit: the target is up, but not all of it is here
        Exposed("scrape_samples_left_out", meta, float(exposition.left_out + exposition.broken)),
    ]
    return Look(at, samples, exposition.about, problem)


async def probe(web: httpx2.AsyncClient, asked: LocalProbe) -> Look:
    """Whether *asked* answers as it should, and how fast."""
    at, begun = time.time(), time.monotonic()
    status, problem = 0, None
    try:
        async with asyncio.timeout(asked.seconds):
            status, _ = await _fetched(web, asked.url, {}, None)
        if status != asked.status:
            problem = f"HTTP {status} instead of {asked.status}"
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
        problem = _reason(error, asked.seconds)
    labels = (("instance", shown(asked.url)), ("job", "probe"), ("probe", asked.name))
    values = {
        "up": 0.0 if problem else 1.0,
        "probe_up": 0.0 if problem else 1.0,
        "probe_duration_seconds": time.monotonic() - begun,
        "probe_http_status_code": float(status),
    }
    return Look(at, [Exposed(name, labels, value) for name, value in values.items()], _ABOUT_PROBES, problem)


_ABOUT_PROBES = {
    "probe_up": Description("gauge", "Whether the address answers as it should."),
    "probe_duration_seconds": Description("gauge", "How long the answer took.", "seconds"),
    "probe_http_status_code": Description("gauge", "The status of the answer; 0 where there was none."),
}


async def _fetched(web: httpx2.AsyncClient, url: str, headers: dict[str, str], most: int | None) -> tuple[int, bytes]:
    """Status and body; without *most* the body is left where it is. A target is only ever read once, without a retry."""
    async with web.stream("GET", url, headers=headers, timeout=httpx2.Timeout(_LONGEST)) as answer:
        body = bytearray()
        if most is not None:
            async for chunk in answer.aiter_bytes(65_536):
                body += chunk
                if len(body) > most:
                    raise TooMuch
        return answer.status_code, bytes(body)


def _labelled(labels: LabelSet, own: dict[str, str]) -> LabelSet:
    """The labels of a sample with those of its target, which win; the sample's own is kept as `exported_…`."""
    given = {(f"exported_{name}" if name in own else name): value for name, value in labels}
    return tuple(sorted({**given, **own}.items()))


def _reason(error: Exception, seconds: float) -> str:
    if isinstance(error, (TimeoutError, httpx2.TimeoutException)):
        return f"did not answer within {seconds:g} s"
    return clean(redact(str(error)), 200) or type(error).__name__
