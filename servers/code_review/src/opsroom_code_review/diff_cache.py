"""Diffs that were fetched once: a version never changes, and is read in pages, filtered, and commented on."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from opsroom_shared.errors import TooLarge

from .diffs import FileDiff
from .globs import fits
from .models import ProviderKind
from .providers import ChangeDiff, Provider

_MOST_CHARS = 32_000_000
_PER_LINE = 200
"""About what a line costs in memory besides its text."""
_COMMENTABLE_CONTEXT: dict[ProviderKind, int] = {"local": 50, "github": 3, "gitlab": 3, "phabricator": 3}


def commentable_context(kind: ProviderKind) -> int:
    """How far from a change a comment can stand: as far as forges show a diff, and anywhere that can be read on our own."""
    return _COMMENTABLE_CONTEXT[kind]


@dataclass(frozen=True)
class _Key:
    provider: str
    ref: str
    version: str
    since: str | None
    context: int


@dataclass(frozen=True)
class Fetched:
    diff: ChangeDiff
    whole: bool = True
    """Whether all files of the version are in it."""


@dataclass
class DiffCache:
    """The diffs that were used last, bounded by their size."""

    most_chars: int = _MOST_CHARS
    _kept: OrderedDict[_Key, tuple[ChangeDiff, int]] = field(default_factory=OrderedDict[_Key, tuple[ChangeDiff, int]])
    _size: int = 0

    async def get(
        self,
        provider: Provider,
        ref: str,
        *,
        version: str | None,
        since: str | None = None,
        context: int = 3,
        files: Sequence[str] = (),
    ) -> Fetched:
        """The diff with at least *context* lines and with all files; of one too large for that, those that fit *files*."""
        context = max(context, commentable_context(provider.kind))
        if version is not None and (known := self._kept.get(_Key(provider.name, ref, version, since, context))):
            self._kept.move_to_end(_Key(provider.name, ref, version, since, context))
            return Fetched(known[0])
        try:
            diff = await provider.diff(ref, version=version, since=since, context=context, wanted=lambda _: True)
        except TooLarge:
            if not files:
                raise
            part = await provider.diff(ref, version=version, since=since, context=context, wanted=lambda path: fits(path, files))
            return Fetched(part, whole=False)
        self._keep(_Key(provider.name, ref, diff.version, since, context), diff)
        return Fetched(diff)

    def _keep(self, key: _Key, diff: ChangeDiff) -> None:
        size = sum(_size(file) for file in diff.files)
        if size > self.most_chars:
            return
        if key in self._kept:
            self._size -= self._kept.pop(key)[1]
        self._kept[key], self._size = (diff, size), self._size + size
        while self._size > self.most_chars:
            self._size -= self._kept.popitem(last=False)[1][1]


def _size(file: FileDiff) -> int:
    return _PER_LINE + sum(len(line.text) + _PER_LINE for line in file.lines())
