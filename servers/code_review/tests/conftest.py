"""What the tests of the code review server share: real git repositories, and servers on them."""

import os
import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from fastmcp import Client, FastMCP
from fastmcp.client.transports import FastMCPTransport
from opsroom_code_review.server import build
from opsroom_code_review.settings import CodeReviewSettings

Connected = AbstractAsyncContextManager[Client[FastMCPTransport]]
Connect = Callable[..., Connected]


class Work:
    """A working repository: Ada made its main branch, Ben a branch with a change of it, and Rita looks at it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        self.write("app.py", "".join(f"line {number}\n" for number in range(1, 61)))
        self.write("notes.txt", "one\ntwo\n")
        self.commit("Begin", "Ada")
        self.branch("fix")
        self.write("app.py", self.read("app.py").replace("line 10\n", "line ten\n").replace("line 40\n", ""))
        self.write("new file.py", "a = 1\nb = 2\n")
        self.commit("Fix the tenth line\n\nIt was wrong.", "Ben")
        self.git("checkout", "-q", "main")
        self.git("config", "user.name", "Rita")
        self.git("config", "user.email", "rita@example.org")

    def git(self, *arguments: str, person: str = "Rita") -> str:
        mail = f"{person.lower()}@example.org"
        names = {
            f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", person), ("EMAIL", mail))
        }
        environment = {**os.environ, **names, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        done = subprocess.run(["git", *arguments], cwd=self.folder, env=environment, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def branch(self, name: str) -> None:
        self.git("checkout", "-q", "-b", name)

    def read(self, path: str) -> str:
        return (self.folder / path).read_text(encoding="utf-8")

    def write(self, path: str, content: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")

    def commit(self, message: str, person: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message, person=person)
        return self.git("rev-parse", "HEAD")

    def change(self, branch: str, path: str, content: str, person: str = "Ben") -> str:
        """Adds a commit to *branch*, and says its id."""
        self.git("checkout", "-q", branch)
        self.write(path, content)
        commit = self.commit(f"Change {path}", person)
        self.git("checkout", "-q", "main")
        return commit


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "widgets")


@pytest.fixture
def connect(work: Work, tmp_path: Path) -> Connect:
    """Connects a client to a server on the repository; keyword arguments are settings, *local* those of its provider."""

    @asynccontextmanager
    async def connected(
        local: dict[str, object] | None = None, others: dict[str, dict[str, object]] | None = None, **settings: object
    ) -> AsyncGenerator[Client[FastMCPTransport]]:
        providers = {"widgets": {"kind": "local", "path": str(work.folder), **(local or {})}, **(others or {})}
        configured = {"providers": providers, "state": str(tmp_path / "state"), **settings}
        server: FastMCP = build(CodeReviewSettings.model_validate(configured)).mcp
        async with Client(server) as client:
            yield client

    return connected
