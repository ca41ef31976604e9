"""The flags and settings of the server's program."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from opsroom_code_review.settings import CodeReviewSettings, add_flags
from pydantic import ValidationError

SCRIPT = Path(sys.executable).parent / "opsroom-code-review"


def providers(*arguments: str) -> dict[str, dict[str, str]]:
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
    add_flags(parser)
    return parser.parse_args(arguments).providers


def test_repositories_are_named_after_their_folders(tmp_path: Path) -> None:
    """--repo can be repeated; a name that cannot be one is replaced, and what is no name at all is `local`."""
    found = providers("--repo", str(tmp_path / "widgets"), "--repo", str(tmp_path / "my gadgets"), "--repo", str(tmp_path / "9"))

    assert {name: each["path"] for name, each in found.items()} == {
        "widgets": str(tmp_path / "widgets"),
        "my_gadgets": str(tmp_path / "my gadgets"),
        "local": str(tmp_path / "9"),
    }
    assert {each["kind"] for each in found.values()} == {"local"}


def test_two_repositories_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second would hide the first, so it says where to give them names."""
    with pytest.raises(SystemExit):
        providers("--repo", str(tmp_path / "a" / "widgets"), "--repo", str(tmp_path / "b" / "widgets"))

    assert "two repositories are named widgets" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "a:b", "a b", "9x", "x" * 65])
def test_names_that_could_not_stand_in_front_of_a_reference_are_refused(name: str) -> None:
    """A name is what is written before the colon."""
    with pytest.raises(ValidationError, match="no name for a provider"):
        CodeReviewSettings.model_validate({"providers": {name: {"kind": "local", "path": "."}}})


def test_nothing_configured_is_one_line(tmp_path: Path) -> None:
    """The program ends at once, with what to do."""
    done = subprocess.run(
        [SCRIPT], env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("opsroom-code-review: no code review system is configured; pass --repo PATH")


def test_path_that_is_no_repository_is_one_line(tmp_path: Path) -> None:
    """The program ends at once, and says which provider means which path."""
    done = subprocess.run(
        [SCRIPT, "--repo", str(tmp_path / "nowhere")],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "providers.nowhere: " in done.stderr
