"""Where a repository is: its folders, found once, with clear words for what is none."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from opsroom_shared.config import ConfigError
from opsroom_shared.errors import ToolFailure

from .git import command, environment

_SECONDS = 20
_EMPTY_TREES = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}


@dataclass(frozen=True)
class Place:
    folder: Path
    """Where git is started."""
    common: Path
    """The git directory that all working trees of the repository share."""
    own: Path
    """The git directory of this working tree."""
    top: Path | None
    """The working tree; None for a bare repository."""
    empty_tree: str

    @property
    def is_bare(self) -> bool:
        return self.top is None

    @property
    def is_shallow(self) -> bool:
        return (self.common / "shallow").exists()

    @property
    def worktree(self) -> str:
        """What tells this working tree from others of the same repository."""
        return "" if self.own == self.common else self.own.name


def find_place(path: Path) -> Place:
    """The repository at *path*: a working tree, a folder inside of one, or a bare repository. Raises ConfigError."""
    folder = path.expanduser().absolute()
    if folder.name == ".git" and folder.is_dir():
        folder = folder.parent
    if not folder.is_dir():
        raise ConfigError(f"{path} is not a folder; a git repository was expected")
    words = ("--is-inside-work-tree", "--show-object-format", "--absolute-git-dir", "--git-common-dir", "--show-prefix")
    try:
        ended = subprocess.run(  # noqa: S603 - a fixed list of arguments
            command(("rev-parse", *words)), cwd=folder, env=environment(), capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired, ToolFailure) as error:
        raise ConfigError(f"git could not look at {path}: {error}") from None
    if ended.returncode:
        raise ConfigError(_why_not(path, ended.stderr.decode(errors="replace")))
    inside, form, own, common, *rest = ended.stdout.decode(errors="surrogateescape").split("\n")
    own_folder = Path(own).resolve()
    if inside != "true":
        return Place(own_folder, (folder / common).resolve(), own_folder, None, _EMPTY_TREES[form])
    prefix = "\n".join(rest).removesuffix("\n").rstrip("/")
    top = folder.resolve()
    for _ in Path(prefix).parts:
        top = top.parent
    if not _belongs(top, own_folder):
        raise ConfigError(
            f"the configuration of {path} puts its working tree somewhere else (core.worktree); that is not followed"
        )
    return Place(top, (folder / common).resolve(), own_folder, top, _EMPTY_TREES[form])


def repository_name(path: Path) -> str:
    """What the repository is called: as the folder that holds it. It asks no git, and is right for every working tree."""
    folder = path.expanduser().absolute()
    for candidate in (folder, *folder.parents):
        inner = candidate / ".git"
        if inner.is_dir():
            return candidate.name
        if inner.is_file():
            main = _git_folder(inner)
            if main.parent.name == "worktrees":
                main = main.parent.parent
                return main.parent.name if main.name == ".git" else main.name.removesuffix(".git")
            return candidate.name
        if (candidate / "HEAD").is_file() and (candidate / "objects").is_dir():
            break
    else:
        candidate = folder
    return candidate.parent.name if candidate.name == ".git" else candidate.name.removesuffix(".git")


def _belongs(top: Path, own: Path) -> bool:
    """Whether the git directory *own* is the one that stands in the folder *top*."""
    inner = top / ".git"
    try:
        return inner.resolve() == own or _git_folder(inner) == own
    except OSError:
        return False


def _git_folder(file: Path) -> Path:
    """What a `.git` that is a file points to."""
    if not file.is_file():
        return file
    with file.open(encoding="utf-8", errors="surrogateescape") as opened:
        text = opened.read(4_096)
    return (file.parent / text.removeprefix("gitdir:").strip()).resolve()


def _why_not(path: Path, error: str) -> str:
    if "dubious ownership" in error or "unsafe repository" in error:
        return (
            f"{path} belongs to another user, so git does not trust its configuration. "
            f"If you do: git config --global --add safe.directory {path.expanduser().absolute()}"
        )
    if "not a git repository" in error:
        return f"{path} is not a git repository"
    return f"git cannot use {path}: {error.strip().splitlines()[0] if error.strip() else 'it gave no reason'}"
