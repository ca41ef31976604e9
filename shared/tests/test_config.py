"""Reading TOML, and telling where in it something is wrong."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opsroom_shared.config import ConfigError, line_of, load_toml, parse_toml
from opsroom_shared.positions import Location, positions
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Iterable

DOCUMENT = '''\
# a comment with [a.header] in it
title = "x"
"quoted.key" = 1
'single' . dotted . "deep key" = 2
text = """
[not.a.table]
key = 1
""" # after a text
other = \'\'\'
title = "no"\'\'\'

[servers.databases]
command = ["opsroom", # a comment, with ] in it
  "--config",
  "a.toml"]
inline = { url = "http://x", env = { A = "1", "B.C" = [1, 2] } }
when = 2026-01-01 10:00:00

[[chain]]
model = "a"
[chain.limits]
tokens = 1
[[chain.rungs]]
name = "first"
[[chain.rungs]]
name = "second"
[[chain]]
model = "b"
points = [{ x = 1 },
          { x = 2 }]
[chain."li.mits"]
tokens = 2
escaped = "a \\" # b"
"caf\\u00e9" = 1
'''


@pytest.mark.parametrize(
    ("location", "line"),
    [
        (("title",), 2),
        (("quoted.key",), 3),
        (("single", "dotted", "deep key"), 4),
        (("single",), 4),
        (("text",), 5),
        (("not", "a"), None),
        (("other",), 9),
        (("servers",), 12),
        (("servers", "databases"), 12),
        (("servers", "databases", "missing"), 12),
        (("servers", "databases", "command"), 13),
        (("servers", "databases", "command", 1), 14),
        (("servers", "databases", "command", 2), 15),
        (("servers", "databases", "inline", "url"), 16),
        (("servers", "databases", "inline", "env", "B.C", 1), 16),
        (("servers", "databases", "when"), 17),
        (("chain", 0), 19),
        (("chain", 0, "model"), 20),
        (("chain", 0, "limits", "tokens"), 22),
        (("chain", 0, "rungs", 0, "name"), 24),
        (("chain", 0, "rungs", 1, "name"), 26),
        (("chain", 1), 27),
        (("chain", 1, "model"), 28),
        (("chain", 1, "points", 1, "x"), 30),
        (("chain", 1, "li.mits", "tokens"), 32),
        (("chain", 1, "li.mits", "escaped"), 33),
        (("chain", 1, "li.mits", "café"), 34),
        (("chain", 2), 19),
        (("chain", 1, "limits"), 27),
        (("nothing",), None),
        ((), None),
    ],
)
def test_line_of(location: Location, line: int | None) -> None:
    """Each key, table and element is found on its line; what is not there, on its nearest parent's."""
    assert line_of(DOCUMENT, location) == line


def test_positions_cover_what_was_parsed(tmp_path: Path) -> None:
    """Everything that tomllib reads has a position, and nothing else has one."""
    path = tmp_path / "document.toml"
    path.write_text(DOCUMENT)

    def locations(value: object, here: Location = ()) -> set[Location]:
        inner: Iterable[tuple[int | str, object]] = ()
        if isinstance(value, dict):
            inner = cast("dict[str, object]", value).items()
        elif isinstance(value, list):
            inner = enumerate(cast("list[object]", value))
        return {here} - {()} | {found for key, item in inner for found in locations(item, (*here, key))}

    assert set(positions(DOCUMENT)) == locations(load_toml(path))


@given(st.one_of(st.text(), st.text("[]{}\"'=.,#\n ab1\\"), st.lists(st.sampled_from(DOCUMENT.splitlines())).map("\n".join)))
def test_positions_never_fail(text: str) -> None:
    """Whatever the text, its positions are lines that it has."""
    found = positions(text)

    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())


def test_deep_nesting_is_survived() -> None:
    """A document that nests too deeply for a parser does not take the scanner with it."""
    assert line_of("a = " + "[" * 100_000, ("a",)) == 1


class Shop(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    size: int = Field(1, le=9)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("size = 1", "shop.toml: name: field required"),
        ("name = 'a'\nsize = 10", "shop.toml:2: size: input should be less than or equal to 9 (got 10)"),
        ("name = 'a'\n\nsort = 1", "shop.toml:3: sort: unknown key"),
        ("name = ['hunter2']", "shop.toml:1: name: input should be a valid string"),
        ("name = 1979-05-27", "shop.toml:1: name: input should be a valid string (got datetime.date(1979, 5, 27))"),
        ("size = '" + "9" * 500 + "'", "shop.toml: name: field required; and 1 more"),
        ("name = ", "shop.toml: not valid TOML: Invalid value (at end of document)"),
        ("a = " + "[" * 3_000, "shop.toml: "),
    ],
)
def test_wrong_file(tmp_path: Path, text: str, told: str) -> None:
    """What is wrong in a file is one line with its place and what was expected."""
    path = tmp_path / "shop.toml"
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        parse_toml(path, Shop)

    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(told)


@pytest.mark.parametrize(
    ("data", "told"),
    [(None, "no such file"), (b"name = '\xff'", "is not UTF-8 text"), (b"#" * 1_048_577, "is larger than 1 MiB")],
)
def test_unreadable_file(tmp_path: Path, data: bytes | None, told: str) -> None:
    """A file that cannot be read says why."""
    path = tmp_path / "shop.toml"
    if data is not None:
        path.write_bytes(data)

    with pytest.raises(ConfigError, match=told):
        parse_toml(path, Shop)


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    """A folder is told apart from a file that is missing."""
    with pytest.raises(ConfigError, match="is a directory; name a TOML file"):
        load_toml(tmp_path)


def test_windows_file(tmp_path: Path) -> None:
    """A byte-order mark and carriage returns are read, and counted as one line each."""
    path = tmp_path / "shop.toml"
    path.write_bytes(b"\xef\xbb\xbfname = 'a'\r\nsize = 10\r\n")

    with pytest.raises(ConfigError, match=r"shop\.toml:2: size"):
        parse_toml(path, Shop)
