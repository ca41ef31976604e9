"""A server on stdin and stdout, as a real child process."""

import os
import signal
import subprocess
from typing import Literal

import pytest
from opsroom_shared.testing.process import ERAS, Era, Json, server_process

Ways = signal.Signals | Literal["eof"]
WAYS: tuple[Ways, ...] = ("eof", signal.SIGTERM, signal.SIGINT)


def text_of(result: Json) -> str:
    content = result["content"]
    assert isinstance(content, list)
    assert isinstance(content[0], dict)
    return str(content[0]["text"])


@pytest.mark.parametrize(("era", "how"), [("modern", "eof"), ("legacy", signal.SIGTERM), ("modern", signal.SIGINT)])
async def test_idle_server_stops(notes: list[str], era: Era, how: Ways) -> None:
    """EOF and both signals end an idle server with status 0, its lifespan torn down."""
    async with server_process(notes, era=era) as server:
        await server.handshake()
        await server.list_tools()
        status = await server.stop(how)

    assert status == 0
    assert "shelf closed" in server.log
    assert "Traceback" not in server.log


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("how", WAYS)
async def test_call_in_flight_is_cancelled(notes: list[str], era: Era, how: Ways) -> None:
    """A call in flight is cancelled before the lifespan is torn down, and does not hold the process."""
    async with server_process(notes, era=era) as server:
        await server.handshake()
        await server.send("tools/call", {"name": "wait_long", "arguments": {}})
        await server.logged("waiting")
        status = await server.stop(how)

    assert status == 0
    assert server.log.index("cancelled") < server.log.index("shelf closed")
    assert "Traceback" not in server.log


@pytest.mark.parametrize("how", ["eof", signal.SIGTERM])
async def test_blocked_thread_does_not_hold_the_process(notes: list[str], how: Ways) -> None:
    """A thread that nothing can interrupt is abandoned once the lifespan is torn down."""
    async with server_process(notes) as server:
        await server.handshake()
        await server.send("tools/call", {"name": "block_thread", "arguments": {}})
        await server.logged("waiting")
        status = await server.stop(how)

    assert status == 0
    assert "shelf closed" in server.log


async def test_stuck_teardown_does_not_hold_the_process(notes: list[str]) -> None:
    """A lifespan that cannot let go of what it holds is abandoned, and the exit status says so."""
    async with server_process(notes, env={"OPSROOM_NOTES_FAIL": "teardown"}) as server:
        await server.handshake()
        status = await server.stop()

    assert status == 1
    assert "was not released within 3.0 s" in server.log


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_signal_before_the_first_message(notes: list[str], how: signal.Signals) -> None:
    """A signal that comes before any client has spoken ends the server like any other."""
    async with server_process(notes) as server:
        await server.logged("shelf opened")
        status = await server.stop(how)

    assert status == 0
    assert "shelf closed" in server.log


@pytest.mark.parametrize("era", ERAS)
async def test_stray_output_stays_off_the_wire(notes: list[str], era: Era) -> None:
    """What a tool and its child print goes to stderr, and the child reads nothing of the wire."""
    async with server_process(notes, era=era) as server:
        await server.handshake()
        answer = await server.call("write_stray")
        await server.stop()

    assert text_of(answer) == '{"notes":["child ended with 0"]}'
    assert "stray output of a child" in server.log


async def test_defect_is_logged_without_secrets(notes: list[str]) -> None:
    """The log has a defect's traceback under the id that the caller got, without passwords and known secrets."""
    async with server_process(notes, env={"OPSROOM_NOTES_VAULT": "correct-horse-battery"}) as server:
        await server.handshake()
        answer = await server.call("break_down")
        await server.stop()

    identity = text_of(answer).partition("(id ")[2].partition(")")[0]
    assert f"defect {identity} in tool break_down" in server.log
    assert "cannot reach postgresql://notes:***@db/notes with the key ***" in server.log
    assert server.log.count("Traceback") == 1


async def test_debug_does_not_log_arguments(notes: list[str]) -> None:
    """Even at debug the arguments of a call stay out of the log."""
    async with server_process([*notes, "--log-level", "debug", "--allow-writes"]) as server:
        await server.handshake()
        await server.call("add_note", text="my PIN is 4711")
        await server.stop()

    assert "4711" not in server.log


async def test_message_without_end_ends_the_server(notes: list[str]) -> None:
    """A line that never ends is not collected in memory for ever."""
    async with server_process(notes) as server:
        await server.handshake()
        assert server.process.stdin
        server.process.stdin.write(b"x" * (4 * 1_048_576 + 1))
        status = await server.ended()

    assert status == 0
    assert "larger than 4194304 bytes" in server.log


async def test_broken_lines_are_survived(notes: list[str]) -> None:
    """What is not a message is answered or skipped, and the next request is served."""
    async with server_process(notes) as server:
        await server.handshake()
        assert server.process.stdin
        server.process.stdin.write(b'\xff\xfe not json\n{"jsonrpc": "2.0"}\n[]\n\n')
        tools = await server.list_tools()
        status = await server.stop()

    assert len(tools) == 6
    assert status == 0


def test_client_that_vanishes(notes: list[str]) -> None:
    """A client that closes both ends in the middle of a call leaves no server behind."""
    wire_in, server_in = os.pipe()
    server_out, wire_out = os.pipe()
    with subprocess.Popen(notes, stdin=wire_in, stdout=wire_out, stderr=subprocess.PIPE, text=True) as child:
        os.close(wire_in)
        os.close(wire_out)
        assert child.stderr
        assert "shelf opened" in child.stderr.readline()
        os.close(server_out)
        os.write(server_in, b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",')
        os.write(server_in, b'"capabilities":{},"clientInfo":{"name":"gone","version":"1"}}}\n')
        os.close(server_in)
        log = child.stderr.read()

    assert child.returncode == 0
    assert "shelf closed" in log
    assert "Traceback" not in log


def run(notes: list[str], *flags: str, stdin: int | None = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*notes, *flags], stdin=stdin, capture_output=True, text=True, timeout=60, check=False)


def test_version(notes: list[str]) -> None:
    """--version names the script and its version."""
    ended = run(notes, "--version")

    assert (ended.returncode, ended.stdout) == (0, "opsroom-notes 0.1.0\n")


def test_help(notes: list[str]) -> None:
    """--help lists the flags of every server, the server's own, and how the environment is named."""
    ended = run(notes, "--help")

    assert ended.returncode == 0
    for words in ("--http HOST:PORT", "--allow-writes", "--config FILE", "--greeting TEXT", "OPSROOM_NOTES_<SETTING>"):
        assert words in ended.stdout


def test_command(notes: list[str]) -> None:
    """A command prints its text and ends, with the settings of a server."""
    ended = run(notes, "greet", "Ada", "--greeting", "good day")

    assert (ended.returncode, ended.stdout) == (0, "good day Ada\n")


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        (["--fail"], 2, "unrecognized arguments: --fail"),
        (["--http", "nowhere"], 2, "opsroom-notes: http: expected HOST:PORT, such as 127.0.0.1:8000 (got 'nowhere')\n"),
        (["--http", "0.0.0.0:0"], 2, "Set OPSROOM_NOTES_TOKEN, or listen on 127.0.0.1\n"),
        (["--http", "host.invalid:80"], 2, "no token is set"),
        (["--config", "/nonexistent/notes.toml"], 2, "opsroom-notes: /nonexistent/notes.toml: no such file\n"),
        (["greet"], 2, "greet needs NAME"),
        (["greet", "nobody"], 2, "opsroom-notes: nobody is not here\n"),
        (["grete", "Ada"], 2, "unknown command grete; there are: greet"),
        (["--greeting", "x" * 30], 2, "opsroom-notes: greeting: string should have at most 20 characters"),
    ],
)
def test_refused_start(notes: list[str], flags: list[str], status: int, words: str) -> None:
    """Bad usage and configuration end with status 2 and a line that says what was expected."""
    ended = run(notes, *flags)

    assert ended.returncode == status
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize("transport", [[], ["--http", "127.0.0.1:0"]], ids=["stdio", "http"])
@pytest.mark.parametrize(
    ("fail", "status", "words"),
    [
        ("config", 2, "opsroom-notes: notes.shelf: no such shelf; one of: left, right\n"),
        ("lifespan", 2, "opsroom-notes: notes.shelf: is locked; unlock it first\n"),
        ("build", 1, "RuntimeError: no such driver for mysql://root:***@db/x\n"),
    ],
)
def test_failed_start(
    notes: list[str], monkeypatch: pytest.MonkeyPatch, transport: list[str], fail: str, status: int, words: str
) -> None:
    """What goes wrong while the server starts is one line, or for a defect a traceback without secrets."""
    monkeypatch.setenv("OPSROOM_NOTES_FAIL", fail)

    ended = run(notes, *transport)

    assert ended.returncode == status
    assert ended.stderr.endswith(words)
    assert ("Traceback" in ended.stderr) == (status == 1)


def test_closed_stdin(notes: list[str]) -> None:
    """Without a stdin to read, the one line says what to do."""
    ended = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *notes], capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 2
    assert "stdin is closed" in ended.stderr
