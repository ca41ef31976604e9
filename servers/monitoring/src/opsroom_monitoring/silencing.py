"""Making, extending and ending silences, with what they would mute, and what is refused."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from opsroom_shared.errors import InvalidInput, NotFound, NotPermitted
from opsroom_shared.outside import clean

from .models import Alert, Silence, SilenceAction
from .opening import Sources
from .sources import Matcher, SilenceRecord, SilencesSource
from .summaries import parse_duration

_MATCHER = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_ANYTHING = "\x01zq"
"""A value that no alert has: what matches it matches whatever comes."""
_MOST_SHOWN = 20


async def silence(
    sources: Sources,
    action: SilenceAction,
    matchers: Sequence[str],
    *,
    silence_id: str | None,
    duration: str,
    reason: str,
    author: str,
    dry_run: bool,
) -> Silence:
    """Raises InvalidInput or NotPermitted for a silence that is too broad or too long, or has no reason."""
    source = sources.silences
    if source is None:
        raise InvalidInput("Nothing that can be silenced is configured. Set alertmanager.url, or local rules.")
    if len(reason.strip()) < 3:
        raise InvalidInput("Give a `reason`: who reads the silence must understand it.")
    now = datetime.now(UTC)
    if action == "expire":
        return await _expired(source, await _known(source, silence_id), dry_run=dry_run)
    length = timedelta(seconds=parse_duration(duration))
    longest = sources.settings.max_silence
    if length > longest:
        raise NotPermitted(f"A silence may last {longest.total_seconds() / 3_600:g} h at most here; extend it later if need be.")
    if action == "extend":
        # with its matchers unchanged an Alertmanager keeps the id
        known = await _known(source, silence_id)
        record = SilenceRecord(known.silence_id, known.matchers, known.starts, now + length, author, reason, active=True)
    else:
        if silence_id is not None:
            raise InvalidInput("To create a silence give `matchers`, and no silence_id.")
        record = SilenceRecord("", tuple(map(parse_matcher, matchers)), now, now + length, author, reason, active=True)
    mutes = await source.muted_by(record.matchers)
    await _check_breadth(source, record.matchers, mutes)
    saved = record.silence_id if dry_run else await source.save(record)
    return Silence(
        applied=not dry_run,
        silence_id=saved or None,
        would_mute=[*mutes[:_MOST_SHOWN]],
        starts=record.starts,
        ends=record.ends,
        note=_told(record) + ("; call again with dry_run=false to apply it" if dry_run else ""),
    )


async def _expired(source: SilencesSource, record: SilenceRecord, *, dry_run: bool) -> Silence:
    mutes = await source.muted_by(record.matchers)
    if not dry_run:
        await source.expire(record.silence_id)
    return Silence(
        applied=not dry_run,
        silence_id=record.silence_id,
        would_mute=[*mutes[:_MOST_SHOWN]],
        starts=record.starts,
        ends=record.ends if dry_run else datetime.now(UTC),
        note=f"{_told(record)}; {'would be ended' if dry_run else 'ended, so these notify again'}",
    )


async def _known(source: SilencesSource, silence_id: str | None) -> SilenceRecord:
    if silence_id is None:
        raise InvalidInput("Give `silence_id`; list_alerts shows the ids of those that mute something.")
    silences = await source.silences()
    for each in silences:
        if each.silence_id == silence_id:
            if not each.active:
                raise InvalidInput("This silence has ended. Create a new one.")
            return each
    there = ", ".join(each.silence_id for each in silences if each.active) or "none"
    raise NotFound(f"There is no silence of this id. Active ones: {clean(there, 400)}.")


def parse_matcher(text: str) -> Matcher:
    """`alertname="DiskFull"`, `instance=~"db-.*"`, `severity!=page`; quotes may be left out. Raises InvalidInput."""
    match = _MATCHER.fullmatch(text)
    if not match:
        raise InvalidInput(f'{clean(text, 60)!r} is no matcher. Write alertname="DiskFull" or instance=~"db-.*".')
    name, sign, value = match.groups()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    matcher = Matcher(name, value, is_regex="~" in sign, is_equal="!" not in sign)
    if matcher.is_regex:
        try:
            re.compile(value)
        except re.error as error:
            raise InvalidInput(f"{clean(text, 60)!r} has a broken pattern: {error}.") from None
    return matcher


def narrows(matcher: Matcher) -> bool:
    """Whether *matcher* leaves something out: it asks for a value, and not for any."""
    if not matcher.is_equal:
        return False
    if not matcher.is_regex:
        return bool(matcher.value)
    pattern = re.compile(matcher.value, re.DOTALL)
    return not pattern.fullmatch("") and not pattern.fullmatch(_ANYTHING)


async def _check_breadth(source: SilencesSource, matchers: Sequence[Matcher], mutes: Sequence[Alert]) -> None:
    if not any(map(narrows, matchers)):
        shown = ", ".join(sorted({each.name for each in mutes})[:10]) or "no alert that is active now"
        raise NotPermitted(
            f'This silence would mute everything (now: {shown}). Add a matcher for one value, such as alertname="…".'
        )
    if len({each.name for each in mutes}) >= 3 and not any(each.name == "alertname" and narrows(each) for each in matchers):
        active = await source.muted_by(())
        if len(active) == len(mutes):
            names = ", ".join(sorted({each.name for each in mutes})[:10])
            raise NotPermitted(f"This silence would mute all alerts that are active: {names}. Add a matcher of alertname.")


def _told(record: SilenceRecord) -> str:
    signs = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}
    return ", ".join(f'{each.name}{signs[each.is_equal, each.is_regex]}"{each.value}"' for each in record.matchers)
