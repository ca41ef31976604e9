"""Settings: where they come from, and how a wrong one is told."""

from pathlib import Path
from typing import ClassVar

import pytest
from opsroom_shared.config import ConfigError
from opsroom_shared.redact import redact
from opsroom_shared.settings import ServerSettings, host_port, is_loopback, read_settings
from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import SettingsConfigDict


class Shelf(BaseModel):
    width: int = 1
    key: SecretStr | None = None


class Settings(ServerSettings):
    name: ClassVar[str] = "book_shop"

    shelves: dict[str, Shelf] = Field(default_factory=dict)
    api_key: str | None = Field(None, pattern="^k-")


def read(tmp_path: Path, text: str = "", **flags: object) -> Settings:
    path = tmp_path / "shop.toml"
    path.write_text(text)
    return read_settings(Settings, flags, path)


def refused(tmp_path: Path, text: str = "", **flags: object) -> str:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, **flags)
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_later_sources_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag wins over the environment, and the environment over the file."""
    text = 'log_level = "info"\nhttp = "127.0.0.1:1"\nallow_writes = true'
    monkeypatch.setenv("OPSROOM_BOOK_SHOP_LOG_LEVEL", "debug")
    monkeypatch.setenv("OPSROOM_BOOK_SHOP_HTTP", "127.0.0.1:2")

    settings = read(tmp_path, text, http="127.0.0.1:3")

    assert (settings.allow_writes, settings.log_level, settings.http) == (True, "debug", "127.0.0.1:3")


def test_tables_of_all_sources_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that several sources fill has the entries of all."""
    monkeypatch.setenv("OPSROOM_BOOK_SHOP_SHELVES", '{"right": {"width": 2}}')

    settings = read(tmp_path, "[shelves.left]\nwidth = 1\n[shelves.right]\nwidth = 9", shelves={"top": {"width": 3}})

    assert {name: shelf.width for name, shelf in settings.shelves.items()} == {"left": 1, "right": 2, "top": 3}


def test_settings_without_a_file() -> None:
    """Without a file every setting has a default that runs on this machine."""
    settings = read_settings(Settings, {}, None)

    assert settings.http is None
    assert settings.allow_writes is False
    settings.check_reach()


@pytest.mark.parametrize("value", ["a.test, b.test", " a.test,,b.test "])
def test_allowed_hosts_are_separated_by_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """In the environment host names stand in one text; in the file they are a list."""
    monkeypatch.setenv("OPSROOM_BOOK_SHOP_ALLOWED_HOSTS", value)

    assert read(tmp_path).allowed_hosts == ["a.test", "b.test"]
    monkeypatch.delenv("OPSROOM_BOOK_SHOP_ALLOWED_HOSTS")
    assert read(tmp_path, 'allowed_hosts = ["a.test"]').allowed_hosts == ["a.test"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\nlog_level = 'loud'", "shop.toml:2: log_level: input should be 'debug', 'info', 'warning' or 'error' (got 'loud')"),
        ("hhtp = 1", "shop.toml:1: hhtp: unknown key"),
        ("[shelves.left]\n\nwidth = 'wide'", "shop.toml:3: shelves.left.width: input should be a valid integer"),
        ("api_key = 'sesame-street'", "shop.toml:1: api_key: string should match pattern '^k-' (got '***')"),
        ("token = 'short-and-secret'[:5]", "shop.toml: not valid TOML"),
        ("token = 'short'", "shop.toml:1: token: value should have at least 16 items after validation"),
        ("http = 'x'\nlog_level = 'x'", "shop.toml:1: http: expected HOST:PORT, such as 127.0.0.1:8000 (got 'x'); and 1 more"),
    ],
)
def test_wrong_value_in_the_file(tmp_path: Path, text: str, words: str) -> None:
    """A wrong value is told with its file, line and key, what was expected, and what it was unless it is a secret."""
    told = refused(tmp_path, text)

    assert told.startswith(words)
    assert "\n" not in told


def test_wrong_value_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong value of the environment is told with its variable, even if the file has that key too."""
    monkeypatch.setenv("OPSROOM_BOOK_SHOP_LOG_LEVEL", "loud")

    told = refused(tmp_path, "log_level = 'info'")

    assert told == (
        "log_level: input should be 'debug', 'info', 'warning' or 'error' (got 'loud'), from OPSROOM_BOOK_SHOP_LOG_LEVEL"
    )


def test_wrong_value_in_a_nested_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one entry of a table has a variable of its own, that variable is named."""

    class Nested(Settings):
        model_config = SettingsConfigDict(env_nested_delimiter="__")

    monkeypatch.setenv("OPSROOM_BOOK_SHOP_SHELVES__LEFT__WIDTH", "wide")

    with pytest.raises(ConfigError, match=r"^shelves\.left\.width: .*, from OPSROOM_BOOK_SHOP_SHELVES__LEFT__WIDTH$"):
        read_settings(Nested, {}, None)


def test_broken_json_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table in the environment is JSON; broken, its variable is named."""
    monkeypatch.setenv("OPSROOM_BOOK_SHOP_SHELVES", "{left")

    assert "shelves" in refused(tmp_path)


def test_wrong_value_in_a_table_of_two_sources(tmp_path: Path) -> None:
    """Where a table comes from flags and file, the source that holds the wrong entry is named."""
    text = "[shelves.left]\nwidth = 'wide'"

    assert refused(tmp_path, text, shelves={"top": {"width": 3}}).startswith("shop.toml:2: shelves.left.width: ")
    assert refused(tmp_path, "[shelves.left]\nwidth = 1", shelves={"top": {"width": "x"}}).startswith("shelves.top.width: ")


@pytest.mark.parametrize("token", ["", "hunter2"])
def test_weak_token_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    """A token that is empty or can be guessed is refused, and not shown."""
    monkeypatch.setenv("OPSROOM_BOOK_SHOP_TOKEN", token)

    told = refused(tmp_path)

    assert "at least 16" in told
    assert "hunter2" not in told


def test_secrets_of_the_settings_are_redacted_everywhere(tmp_path: Path) -> None:
    """What a setting marks as a secret is taken out of every text from then on, however deep it was set."""
    read(tmp_path, "[shelves.left]\nkey = 'open-sesame-now'")

    assert redact("the lock said open-sesame-now!") == "the lock said ***!"


def test_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """State is kept where the setting says, or in the user's state folder, one folder a server."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    assert read(tmp_path).state_folder == tmp_path / "opsroom" / "book_shop"
    assert read(tmp_path, "state = '/srv/x'").state_folder == Path("/srv/x")


@pytest.mark.parametrize(
    ("value", "parts"),
    [("127.0.0.1:8000", ("127.0.0.1", 8000)), ("[::1]:0", ("::1", 0)), ("db.test:65535", ("db.test", 65_535))],
)
def test_host_port(value: str, parts: tuple[str, int]) -> None:
    """An address has a host and a port; IPv6 stands in brackets."""
    assert host_port(value) == parts


@pytest.mark.parametrize("value", ["", ":", "8000", ":8000", "h:", "h:x", "h:65536", "h:-1", "h:٣"])
def test_host_port_refused(value: str) -> None:
    """What is no address says what one looks like."""
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        host_port(value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("LOCALHOST", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.test", "127.0.0.1.test")],  # noqa: S104 - never bound
)
def test_loopback(host: str, loopback: bool) -> None:  # noqa: FBT001 - a case, not a switch
    """Only what this machine alone can reach counts as loopback."""
    assert is_loopback(host) == loopback


@pytest.mark.parametrize(
    ("http", "token", "refused"), [("0.0.0.0:1", None, True), ("0.0.0.0:1", "t" * 16, False), ("[::1]:1", None, False)]
)
def test_reach(tmp_path: Path, http: str, token: str | None, refused: bool) -> None:  # noqa: FBT001 - a case, not a switch
    """Other machines are served only with a token."""
    flags = {"http": http} | ({"token": token} if token else {})
    settings = read(tmp_path, **flags)
    told = ""
    try:
        settings.check_reach()
    except ConfigError as error:
        told = str(error)

    assert ("Set OPSROOM_BOOK_SHOP_TOKEN" in told) == refused
