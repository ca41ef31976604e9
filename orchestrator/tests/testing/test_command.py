"""`python -m opsroom.testing` as a child process."""

import signal
import subprocess
import sys
from pathlib import Path

import anthropic
import pytest
from opsroom.testing import ScriptedAnthropic

COMMAND = [sys.executable, "-m", "opsroom.testing"]


def test_it_prints_its_address_plays_a_script_and_stops_on_sigterm(tmp_path: Path) -> None:
    """The first line can be put into the environment as it is; the end is a clean one."""
    script = tmp_path / "script.toml"
    script.write_text('[[cues]]\nreply = { kind = "message", text = "from the file" }\n')

    with subprocess.Popen(
        [*COMMAND, "--script", str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        assert child.stderr
        name, _, url = child.stdout.readline().strip().partition("=")
        with anthropic.Anthropic(base_url=url, api_key="sk-ant-none", max_retries=0) as client:
            message = client.messages.create(model="m", max_tokens=100, messages=[{"role": "user", "content": "hi"}])
        child.send_signal(signal.SIGTERM)
        child.wait(20)
        said = child.stderr.read()

    assert name == "ANTHROPIC_BASE_URL"
    assert [block.text for block in message.content if block.type == "text"] == ["from the file"]
    assert (child.returncode, said) == (0, "")


def test_a_fault_is_played_by_its_name() -> None:
    """Every request gets it, until Ctrl-C."""
    with subprocess.Popen([*COMMAND, "--play", "overloaded"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout
        url = child.stdout.readline().strip().partition("=")[2]
        with (
            anthropic.Anthropic(base_url=url, api_key="sk-ant-none", max_retries=0) as client,
            pytest.raises(anthropic.OverloadedError),
        ):
            client.messages.create(model="m", max_tokens=100, messages=[{"role": "user", "content": "hi"}])
        child.send_signal(signal.SIGINT)
        child.wait(20)

    assert child.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--play", "dmeo"], 2, "nothing to play is named 'dmeo'"),
        (["--script", "missing.json"], 2, "missing.json: cannot be read"),
        (["--port", "http"], 2, "expected a number"),
        (["--port", "99999"], 2, "0 to 65535"),
    ],
)
def test_a_wrong_argument_is_answered_with_one_line(arguments: list[str], status: int, said: str) -> None:
    """No traceback, and the right exit status."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_port_in_use_is_answered_with_one_line() -> None:
    """The line says what to do."""
    with ScriptedAnthropic() as server:
        port = server.url.rpartition(":")[2]
        done = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert f"port {port} cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
