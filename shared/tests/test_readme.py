"""The README's server is a server."""

import re
import sys
from pathlib import Path

from opsroom_shared.testing.contract import contract_problems
from opsroom_shared.testing.process import server_process

README = (Path(__file__).parents[1] / "README.md").read_text()


def command(folder: Path) -> list[str]:
    """The command that runs the README's code block."""
    [block] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    program = folder / "dice.py"
    program.write_text(block)
    return [sys.executable, str(program)]


async def test_server_keeps_the_contract(tmp_path: Path) -> None:
    """The code block serves tools that keep the contract, answers, and fails with a code."""
    async with server_process(command(tmp_path)) as server:
        await server.handshake()
        tools = await server.list_tools()
        good = await server.call("roll_dice", sides=2)
        bad = await server.call("roll_dice", sides=3)
        status = await server.stop()

    assert contract_problems(tools) == []
    assert good["structuredContent"] in ({"eyes": [1]}, {"eyes": [2]})
    assert bad["structuredContent"] == {"code": "invalid_input", "retryable": False}
    assert status == 0


async def test_server_takes_settings(tmp_path: Path) -> None:
    """A setting of its own is read from the environment."""
    async with server_process(command(tmp_path), env={"OPSROOM_DICE_SEED": "six"}) as server:
        status = await server.ended()

    assert status == 2
    assert server.log.startswith("opsroom-dice: seed: input should be a valid integer")
    assert server.log.endswith("from OPSROOM_DICE_SEED\n")


def test_modules_are_listed() -> None:
    """Every module of the package is named in the README."""
    package = Path(__file__).parents[1] / "src" / "opsroom_shared"
    modules = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()} - {"__init__"}

    assert modules == {name for name in modules if f"`{name}`" in README}
