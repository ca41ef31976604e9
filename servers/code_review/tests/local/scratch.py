"""Real git repositories that a test writes, and providers on them."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from opsroom_code_review.diffs import FileDiff
from opsroom_code_review.providers import InlineComment, Provider, Review
from opsroom_code_review.providers.local import LocalProvider
from opsroom_code_review.settings import CodeReviewSettings, ProviderSettings

ADA = "Ada <ada@shop.example>"
BEN = "Ben <ben@shop.example>"


@dataclass
class Scratch:
    """A repository in a folder of the test. Its clock goes on by a minute with each commit."""

    folder: Path
    clock: int = field(default=1_790_000_000)

    def git(self, *arguments: str | bytes, stdin: bytes | None = None) -> str:
        environment = dict(os.environ) | {"GIT_COMMITTER_DATE": f"{self.clock} +0000", "GIT_AUTHOR_DATE": f"{self.clock} +0000"}
        ended = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=environment, input=stdin, capture_output=True, check=False, timeout=60
        )
        assert ended.returncode == 0, ended.stderr.decode()
        return ended.stdout.decode(errors="surrogateescape").strip()

    def write(self, files: dict[str, str | bytes]) -> None:
        for path, content in files.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, message: str, files: dict[str, str | bytes] | None = None, author: str = ADA) -> str:
        self.write(files or {})
        self.clock += 60
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--author={author}", "--message", message)
        return self.git("rev-parse", "HEAD")

    def branch(self, name: str, start: str = "main") -> None:
        self.git("switch", "--quiet", "--create", name, start)

    def switch(self, name: str) -> None:
        self.git("switch", "--quiet", name)


def made(folder: Path, user: str = ADA) -> Scratch:
    """An empty repository whose user is *user*."""
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Scratch(folder)
    scratch.git("init", "--quiet", "--initial-branch=main")
    name, _, email = user.rstrip(">").partition(" <")
    scratch.git("config", "user.name", name)
    scratch.git("config", "user.email", email)
    return scratch


def provider(folder: Path, **settings: object) -> LocalProvider:
    made = ProviderSettings.model_validate({"kind": "local", "path": folder} | settings)
    return LocalProvider("here", made, CodeReviewSettings(state=None, request_seconds=60))


async def diff_of(
    source: Provider,
    ref: str,
    *,
    context: int = 3,
    version: str | None = None,
    since: str | None = None,
    wanted: Callable[[str], bool] = lambda _: True,
) -> dict[str, FileDiff]:
    """The files of a change by their paths."""
    found = await source.diff(ref, version=version, since=since, context=context, wanted=wanted)
    return {file.path: file for file in found.files}


def lines_of(file: FileDiff) -> list[str]:
    return [f"{line.sign}{line.text}" for line in file.lines()]


def comment(path: str, line: int, quoted: str, body: str = "Why?", index: int = 0) -> InlineComment:
    ends = ((None, line), (None, line))
    return InlineComment(index, path, path, "new", line, line, ends, (quoted,), body)


def review(change: str, version: str, *comments: InlineComment, summary: str = "") -> Review:
    return Review(change, version, "comment", summary, comments)
