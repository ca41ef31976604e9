"""Patches as git and Phorge write them, parsed into files, hunks and numbered lines.

`unidiff` was tried first: it leaves quoted paths quoted, calls copies renames, drops modes, and fails on `a b/x b/y.txt`.
"""

import re
from dataclasses import dataclass, field, replace

from .diffs import FileDiff, FileKind, Hunk, Line
from .paths import unquoted

MAX_PATCH = 64 << 20
"""Bytes or characters of a patch, above which it is not parsed."""

_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@ ?(.*)", re.DOTALL)
_NOT_UTF8 = re.compile(r"[\ud800-\udfff]")
_PREFIX = re.compile(r"[abciow12]/")
_NOWHERE = "/dev/null"
_NO_END = "\\ No newline at end of file"


def parse_patch(patch: str | bytes) -> list[FileDiff]:
    """The files of a patch. Raises ValueError, with what is wrong, for one that cannot be read to its end.

    A path with bytes that are no UTF-8 holds them as Python's file functions do; in a line they are replaced.
    """
    lines = _lines(patch)
    files: list[FileDiff] = []
    header: _Header | None = None
    at = 0
    while at < len(lines):
        line = lines[at]
        if header is not None and header.withheld and not line.startswith("diff --"):
            at += 1  # lines of a combined diff have two signs: they could be taken for anything
            continue
        if line.startswith("diff --git "):
            _close(header, files)
            header = _Header(line[11:])
        elif line.startswith(("diff --cc ", "diff --combined ")):
            _close(header, files)
            header = _Header.combined(line)
        elif line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
            if header is None or header.named:
                _close(header, files)
                header = _Header(None)
            header.name(line[4:], lines[at + 1][4:])
            at += 1
        elif line.startswith("@@ -"):
            if header is None:
                raise ValueError("a hunk stands before the first file")
            hunk, at = _hunk(lines, at)
            header.hunks.append(hunk)
            continue
        elif header is not None and not header.hunks:
            header.take(line)
        at += 1
    _close(header, files)
    return files


def parse_hunks(patch: str) -> tuple[Hunk, ...]:
    """The hunks of one file, with or without its --- and +++ in front. None of a binary file. Raises ValueError."""
    lines = _lines(patch)
    hunks: list[Hunk] = []
    at = 0
    while at < len(lines):
        if lines[at].startswith("@@ -"):
            hunk, at = _hunk(lines, at)
            hunks.append(hunk)
        elif hunks or not lines[at].startswith(("--- ", "+++ ", "Binary files ")):
            raise ValueError(f"line {at + 1} of a patch is not part of a hunk")
        else:
            at += 1
    return tuple(hunks)


def _lines(patch: str | bytes) -> list[str]:
    if len(patch) > MAX_PATCH:
        raise ValueError(f"a patch of more than {MAX_PATCH >> 20} MiB is not parsed")
    text = patch if isinstance(patch, str) else patch.decode(errors="surrogateescape")
    lines = text.split("\n")  # splitlines would also split at what may stand inside a line
    if not lines[-1]:
        lines.pop()
    return lines


def _hunk(lines: list[str], at: int) -> tuple[Hunk, int]:
    """The hunk whose header stands at *at*, and where the next thing begins."""
    match = _HUNK.fullmatch(lines[at])
    if match is None:
        raise ValueError(f"line {at + 1} of a patch is no header of a hunk")
    old, new = int(match[1]), int(match[3])
    old_end, new_end = (int(match[start]) + int(match[start + 1] or 1) for start in (1, 3))
    found: list[Line] = []
    at += 1
    while old < old_end or new < new_end or lines[at : at + 1] == [_NO_END]:
        if at >= len(lines):
            raise ValueError("a patch ends inside a hunk")
        sign, text = lines[at][:1] or " ", _NOT_UTF8.sub("\N{REPLACEMENT CHARACTER}", lines[at][1:])
        if sign == "-" and old < old_end:
            found.append(Line("-", text, old, None))
        elif sign == "+" and new < new_end:
            found.append(Line("+", text, None, new))
        elif sign == " " and old < old_end and new < new_end:
            found.append(Line(" ", text, old, new))
        elif sign == "\\" and found:
            found[-1] = replace(found[-1], ends=False)
        else:
            raise ValueError(f"line {at + 1} of a patch does not fit its hunk")
        old += sign in "- "
        new += sign in "+ "
        at += 1
    if _continues(lines, at):
        raise ValueError(f"line {at + 1} of a patch goes on after the end of its hunk")
    return Hunk(tuple(found), _NOT_UTF8.sub("\N{REPLACEMENT CHARACTER}", match[5].rstrip("\r"))), at


def _continues(lines: list[str], at: int) -> bool:
    """Whether the line at *at* looks like one of the hunk before it, and is neither a signature nor the next file."""
    if at >= len(lines) or not lines[at].startswith((" ", "+", "-")) or lines[at] == "-- ":
        return False
    return not (lines[at].startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "))


@dataclass
class _Header:
    """What stands before the hunks of one file, as far as it has been read."""

    git: str | None
    """What follows `diff --git `; None for a file that has only --- and +++."""
    before: str | None = None
    after: str | None = None
    kind: FileKind | None = None
    modes: list[str] = field(default_factory=list[str])
    binary: bool = False
    named: bool = False
    withheld: str | None = None
    hunks: list[Hunk] = field(default_factory=list[Hunk])
    _settled: bool = False
    """Whether lines that name a rename or copy have said both paths without any prefix."""

    @classmethod
    def combined(cls, line: str) -> "_Header":
        path = _path(line.split(" ", 2)[2])
        return cls(None, path, path, named=True, withheld="a merge, shown only against all of its parents at once")

    def name(self, before: str, after: str) -> None:
        """Takes the paths behind --- and +++."""
        self.named = True
        old, new = _path(before), _path(after)
        if old == _NOWHERE:
            self.kind = self.kind or "added"
        if new == _NOWHERE:
            self.kind = self.kind or "deleted"
        if self._settled:
            return
        if self._has_prefixes(old, new):
            old, new = (path if path == _NOWHERE else path[2:] for path in (old, new))
        self.before, self.after = (new if old == _NOWHERE else old), (old if new == _NOWHERE else new)

    def take(self, line: str) -> None:
        """Takes one of git's lines about the file; others say nothing that is kept."""
        word, _, rest = line.rstrip("\r").partition(" ")
        match word:
            case "rename" | "copy" if rest.startswith("from "):
                self.before = _path(rest[5:])
            case "rename" | "copy" if rest.startswith("to "):
                self.kind = "renamed" if word == "rename" else "copied"
                self.after, self._settled = _path(rest[3:]), True
            case "new" if rest.startswith("file mode "):
                self.kind = "added"
            case "deleted" if rest.startswith("file mode "):
                self.kind = "deleted"
            case "old" | "new" if rest.startswith("mode "):
                self.modes.append(rest[5:])
            case "Binary":
                self.binary = self.binary or (rest.startswith("files ") and rest.endswith(" differ"))
            case "GIT":
                self.binary = self.binary or rest == "binary patch"
            case _:
                pass

    def file(self) -> FileDiff:
        before, after = (self.before, self.after) if self.named or self._settled else self._from_first_line()
        if not before or not after:
            raise ValueError("a file of a patch has no path")
        kind = self.kind or ("mode" if self.modes and not (self.hunks or self.binary) else "modified")
        path = before if kind == "deleted" else after
        signs = [line.sign for hunk in self.hunks for line in hunk.lines]
        return FileDiff(
            path,
            kind,
            old_path=before if before != path else None,
            hunks=tuple(self.hunks),
            added=signs.count("+"),
            removed=signs.count("-"),
            binary=self.binary,
            modes=(self.modes[0], self.modes[1]) if len(self.modes) == 2 else None,
            withheld=self.withheld,
        )

    def _has_prefixes(self, old: str, new: str) -> bool:
        """Whether the paths begin with a/ and b/, which a configuration of git can leave out or replace by other letters."""
        if self.git is not None:
            before, after = _halves(self.git)
            if before is not None and before == after:
                return False
            return all(path == _NOWHERE or _PREFIX.match(path) for path in (old, new))
        return (old == _NOWHERE or old.startswith("a/")) and (new == _NOWHERE or new.startswith("b/"))

    def _from_first_line(self) -> tuple[str | None, str | None]:
        """The paths of a file without ---, +++ and new name: the first line says the same one twice."""
        before, after = _halves(self.git or "")
        if before is None or after is None:
            raise ValueError("a file of a patch has no path that can be told")
        if before != after and _PREFIX.match(before) and _PREFIX.match(after):
            before, after = before[2:], after[2:]
        return before, after


def _halves(names: str) -> tuple[str | None, str | None]:
    """The two paths behind `diff --git`, if they can be told apart: they are quoted, or the same but for a prefix."""
    if names.startswith('"'):
        before, rest = unquoted(names)
        return before, _path(rest.strip())
    middle = len(names) // 2
    before, after = names[:middle], names[middle + 1 :]
    if names[middle : middle + 1] == " " and (before == after or before[2:] == after[2:]):
        return before, after
    return None, None


def _path(text: str) -> str:
    """A path as a line gives it: quoted, or followed by a tab where it holds spaces, or by a time."""
    if text.startswith('"'):
        return unquoted(text)[0]
    return text.partition("\t")[0].removesuffix("\r")


def _close(header: _Header | None, files: list[FileDiff]) -> None:
    if header is not None:
        files.append(header.file())
