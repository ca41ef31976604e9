"""Making the demo repository: all of its history through one git fast-import, and what was said about it."""

import contextlib
import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from ..providers.local.git import command, environment
from ..providers.local.graph import CHECKS_REF
from ..providers.local.store import Store
from .discussion import Made, check_notes, talk
from .history import ADA, PRIYA, STEPS, Step
from .proposals import MERGED, MERGED_AGO, PROPOSALS

DEMO_NAME = "shop"

_VERSION = 1
_DAYS = 30
"""After so many days it is made again, so that its dates stay believable."""
_MARKER = "opsroom-demo"
_SECONDS = 60


def demo_repository(folder: Path) -> Path:
    """The shop's repository in the state folder *folder*; made if it is not there, is of another version, or is old."""
    today = datetime.now(UTC).date()
    try:
        return _kept(folder / DEMO_NAME, today)
    except OSError:  # a state folder that cannot be written must not keep anybody from trying the demo
        return _kept(Path(tempfile.mkdtemp(prefix="opsroom-code-review-")) / DEMO_NAME, today)


def _kept(place: Path, today: date) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    with _locked(place.with_suffix(".lock")):
        if _is_current(place, today):
            return place
        made = Path(tempfile.mkdtemp(dir=place.parent, prefix=f"{place.name}."))
        try:
            make_repository(made, today)
            _replace(place, made)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return place


@contextlib.contextmanager
def _locked(file: Path) -> Generator[None]:
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_current(place: Path, today: date) -> bool:
    try:
        version, day = (place / ".git" / _MARKER).read_text().split()
        age = today - date.fromisoformat(day)
    except (OSError, ValueError):
        return False
    return version == str(_VERSION) and timedelta(0) <= age <= timedelta(days=_DAYS)


def _replace(place: Path, made: Path) -> None:
    """Puts *made* where an older demo may stand; anything else that stands there is left alone."""
    if place.exists():
        if not (place / ".git" / _MARKER).is_file():
            raise OSError(f"{place} is in the way")
        old = Path(tempfile.mkdtemp(dir=place.parent, prefix=f"{place.name}."))
        place.rename(old / "old")
        shutil.rmtree(old, ignore_errors=True)
    made.rename(place)


def make_repository(folder: Path, today: date) -> None:
    """Makes the shop in the empty *folder*: for one day the same commits, wherever it is made. Raises OSError."""
    now = datetime.combine(today, time(7), UTC)
    history = _History(now)
    main = history.commit_all("refs/heads/main", STEPS, None)
    for proposal in PROPOSALS:
        for ref, steps in (
            (f"refs/opsroom-demo/{proposal.branch}", proposal.earlier),
            (f"refs/heads/{proposal.branch}", proposal.steps),
        ):
            if steps:
                start = main if proposal.on == "main" else history.heads[f"refs/heads/{proposal.on}"]
                history.commit_all(ref, steps, start.before(steps[0].ago))
    history.point(f"refs/heads/{MERGED}", main.before(MERGED_AGO))
    history.note({proposal.branch: check_notes(proposal.branch) for proposal in PROPOSALS})
    ids = _import(folder, history)

    def made(prefix: str) -> dict[str, Made]:
        heads = {ref.removeprefix(prefix): head for ref, head in history.heads.items() if ref.startswith(prefix)}
        return {
            name: Made(ids[head.mark], ids[head.start.mark] if head.start else "", head.files) for name, head in heads.items()
        }

    Store(folder / ".git").write_now(lambda db: talk(db, now, made("refs/heads/"), made("refs/opsroom-demo/")))
    (folder / ".git" / _MARKER).write_text(f"{_VERSION} {today}\n")


@dataclass(frozen=True)
class _Commit:
    mark: int
    ago: float
    files: Mapping[str, bytes]
    parent: "_Commit | None"
    start: "_Commit | None"
    """Where its branch begins."""

    def before(self, ago: float) -> "_Commit":
        """The newest commit of the branch that was there so many days ago."""
        commit = self
        while commit.ago < ago and commit.parent is not None:
            commit = commit.parent
        return commit


class _History:
    """What git fast-import is told."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._marks = 0
        self.stream = bytearray()
        self.heads: dict[str, _Commit] = {}

    def commit_all(self, ref: str, steps: Iterable[Step], start: _Commit | None) -> _Commit:
        head = start
        for step in steps:
            before = head.files if head else dict[str, bytes]()
            files = _after(step, before)
            self._marks += 1
            self._begin(ref, step.author, step.ago, step.message, head)
            for path in before.keys() - files.keys():
                self._say(f"D {path}")
            for path, content in files.items():
                if before.get(path) != content:
                    self._say(f"M 100644 inline {path}")
                    self._data(content)
            head = _Commit(self._marks, step.ago, files, head, start)
        if head is None:
            raise ValueError("a branch needs a commit")
        self.heads[ref] = head
        return head

    def point(self, ref: str, commit: _Commit) -> None:
        self._say(f"reset {ref}\nfrom :{commit.mark}\n")

    def note(self, notes: Mapping[str, str]) -> None:
        """What checks noted about the heads of branches."""
        self._marks += 1
        self._begin(CHECKS_REF, ADA, 1, "Notes of the checks", None)
        for branch, text in notes.items():
            if text:
                self._say(f"N inline :{self.heads[f'refs/heads/{branch}'].mark}")
                self._data(text.encode())

    def _begin(self, ref: str, author: str, ago: float, message: str, parent: _Commit | None) -> None:
        at = self._now - timedelta(days=ago, minutes=self._marks * 37 % 400)
        who = f"{author} {int(at.timestamp())} +0000"
        self._say(f"commit {ref}\nmark :{self._marks}\nauthor {who}\ncommitter {who}")
        self._data(f"{message}\n".encode())
        if parent is not None:
            self._say(f"from :{parent.mark}")

    def _say(self, line: str) -> None:
        self.stream += f"{line}\n".encode()

    def _data(self, content: bytes) -> None:
        self.stream += b"data %d\n%b\n" % (len(content), content)


def _after(step: Step, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """*files* as they are after *step*."""
    after = dict(files) | step.put
    for path, text in step.add.items():
        after[path] = after.get(path, b"") + text.encode()
    for path, old, new in step.swap:
        if after[path].count(old.encode()) != 1:
            raise ValueError(f"{step.message!r}: {old!r} does not stand in {path} once")
        after[path] = after[path].replace(old.encode(), new.encode())
    for old, new in step.move:
        after[new] = after.pop(old)
    return after


def _import(folder: Path, history: _History) -> dict[int, str]:
    """Makes the repository and tells the ids of its commits by their marks."""
    _git(folder, "init", "--quiet", "--template=", "--initial-branch=main", "--object-format=sha1")
    with (folder / ".git" / "config").open("a", encoding="utf-8") as config:
        name, _, email = PRIYA.rstrip(">").partition(" <")
        config.write(f"[user]\n\tname = {name}\n\temail = {email}\n[core]\n\tautocrlf = false\n[gc]\n\tauto = 0\n")
    marks = folder / ".git" / "opsroom-demo-marks"
    _git(folder, "fast-import", "--quiet", "--date-format=raw", f"--export-marks={marks}", stdin=bytes(history.stream))
    _git(folder, "reset", "--quiet", "--hard", "main")
    ids = dict(line.removeprefix(":").split() for line in marks.read_text().splitlines())
    marks.unlink()
    return {int(mark): commit for mark, commit in ids.items()}


def _git(folder: Path, *arguments: str, stdin: bytes | None = None) -> None:
    try:
        subprocess.run(  # noqa: S603 - fixed arguments
            command(arguments), cwd=folder, env=environment(), input=stdin, capture_output=True, timeout=_SECONDS, check=True
        )
    except subprocess.SubprocessError as error:
        raise OSError(f"git could not make the demo repository: {error}") from error
