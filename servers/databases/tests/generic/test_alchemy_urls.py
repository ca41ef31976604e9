"""URLs of engines that SQLAlchemy reaches, and what is said where something is missing."""

import os
import subprocess
import sys
from pathlib import Path

import opsroom_databases
import pytest
import sqlalchemy
from opsroom_databases.providers.generic_errors import cleaned, hidden_parts
from opsroom_databases.settings import split_flag
from opsroom_databases.sources import AlchemySource, parse_url


def test_file_is_made_absolute(tmp_path: Path) -> None:
    """A DuckDB file is found from wherever the process that reads it runs."""
    source = parse_url(f"duckdb:///{tmp_path}/a.duckdb")

    assert isinstance(source, AlchemySource)
    assert (source.dialect, source.file) == ("duckdb", tmp_path / "a.duckdb")
    assert split_flag("duckdb:////data/shop.duckdb")[0] == "shop"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("duckdb://", "names no file"),
        ("duckdb:///:memory:", "names no file"),
        ("duckdb:///md:shop", "names no file"),
        ("duckdb:////a.duckdb?access_mode=read_write", "options after"),
        ("mssql+pyodbc://ada:hunter2@db/shop", "install pyodbc"),
        ("oracle+oracledb://ada:hunter2@db/shop", "install oracledb"),
        ("snowflake://ada:hunter2@account/shop", "snowflake-sqlalchemy"),
        ("nosuch://ada:hunter2@db/shop", "no dialect 'nosuch'"),
        ("mssql://ada:hunter2@db:port/shop", "is no URL"),
    ],
)
def test_what_is_missing_is_said(url: str, words: str) -> None:
    """A dialect or driver that is not installed is named with the package that brings it, and nothing else of the URL is."""
    with pytest.raises(ValueError, match=words) as caught:
        parse_url(url)

    assert "hunter2" not in str(caught.value)


def bare_environment(folder: Path) -> Path:
    """A folder with every installed package but SQLAlchemy, for `sys.path`."""
    for entry in Path(sqlalchemy.__file__).parents[1].iterdir():
        if not entry.name.lower().startswith(("sqlalchemy", "__")):
            (folder / entry.name).symlink_to(entry)
    return folder


def run_without_alchemy(folder: Path, code: str) -> str:
    paths = [str(bare_environment(folder)), str(Path(opsroom_databases.__file__).parents[1])]
    paths += [
        path for path in sys.path if path.endswith(("shared/src", "lib-dynload", ".zip")) or path == str(Path(os.__file__).parent)
    ]
    code = f"import sys; sys.path[:] = {paths!r}; {code}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def test_missing_sqlalchemy_is_said(tmp_path: Path) -> None:
    """Without SQLAlchemy, such a URL is refused with what to install."""
    said = run_without_alchemy(tmp_path, "from opsroom_databases.sources import parse_url; parse_url('duckdb:////a.duckdb')")

    assert "ValueError" in said
    assert "install opsroom-databases[sqlalchemy]" in said


def test_sqlalchemy_is_imported_by_such_urls_alone(tmp_path: Path) -> None:
    """A server on the engines that are known starts without SQLAlchemy."""
    said = run_without_alchemy(
        tmp_path,
        "from opsroom_databases.server import build, sources; from opsroom_databases.settings import DatabasesSettings as D; "
        "build(D.model_validate({'databases': {'a': {'url': 'postgresql://u@h/d'}}})); print('sqlalchemy' in sys.modules)",
    )

    assert said == "False\n"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mssql+pyodbc://ada:hunter2@db/shop", "login failed: PWD=hunter2"),
        ("mssql+pyodbc://ada:hun%40ter2@db/shop", "login failed: hun@ter2 or hun%40ter2"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BUID%3Dada%3BPWD%3Dhunter2", "login failed for PWD=hunter2"),
        ("snowflake://ada@account/shop?token=hunter2", "bad token hunter2"),
        ("oracle+oracledb://ada:hunter2@db/shop", "cannot connect to oracle+oracledb://ada:hunter2@db/shop"),
    ],
)
def test_password_is_taken_out_of_what_a_driver_says(url: str, message: str) -> None:
    """Drivers repeat what they were given; their words are shown without it."""
    said = cleaned(RuntimeError(message), hidden_parts(url))

    assert "ter2" not in said
    assert said.startswith(message.partition(" ")[0])
