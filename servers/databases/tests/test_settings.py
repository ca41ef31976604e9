"""Settings from flags, environment and file."""

from pathlib import Path

import pytest
from opsroom_databases.settings import DatabasesSettings, split_flag
from opsroom_databases.sources import FileSource, parse_url
from opsroom_shared.config import ConfigError
from opsroom_shared.settings import read_settings


@pytest.mark.parametrize(
    ("flag", "name", "url"),
    [
        ("shop=sqlite:///shop.db", "shop", "sqlite:///shop.db"),
        ("sqlite:////var/lib/crm.db", "crm", "sqlite:////var/lib/crm.db"),
        ("data/crm.sqlite3", "crm", "data/crm.sqlite3"),
        ("./my shop.db", "my_shop", "./my shop.db"),
        ("/data/2024.db", "main", "/data/2024.db"),
        ("a=b=c.db", "a", "b=c.db"),
    ],
)
def test_flag_is_name_and_url(flag: str, name: str, url: str) -> None:
    """The name may be left out: then it is the file's, or `main` where that is no name."""
    assert split_flag(flag) == (name, url)


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:////abs/a.db", "/abs/a.db"),
        ("sqlite:////abs/a%20b.db", "/abs/a b.db"),
        ("SQLite+pysqlite:////abs/a.db", "/abs/a.db"),
        ("/abs/what?.db", "/abs/what?.db"),
        ("sqlite:///rel/a.db", str(Path("rel/a.db").absolute())),
        ("rel/a.db", str(Path("rel/a.db").absolute())),
    ],
)
def test_url_names_a_file(url: str, file: str) -> None:
    """Absolute and relative URLs and plain paths are understood."""
    source = parse_url(url)

    assert isinstance(source, FileSource)
    assert str(source.file) == file


def test_all_three_places_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database can stand in the file, the environment and a flag; all are served, and the later wins."""
    config = tmp_path / "databases.toml"
    config.write_text('max_rows = 10\nmax_cell = 50\n[databases.one]\nurl = "/one.db"\n', encoding="utf-8")
    monkeypatch.setenv("OPSROOM_DATABASES_MAX_ROWS", "20")
    monkeypatch.setenv("OPSROOM_DATABASES_DATABASES__TWO__URL", "/two.db")
    settings = read_settings(DatabasesSettings, {"databases": {"three": {"url": "/three.db"}}}, config)

    assert sorted(settings.databases) == ["one", "three", "two"]
    assert (settings.max_rows, settings.max_cell) == (20, 50)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[databases.one]\nurl = "oracle://u:hunter2@h/x"\n', "is not installed"),
        ("[databases.one]\n", "databases.one.url"),
        ('[databases."a b"]\nurl = "/a.db"\n', "is no name for a database"),
        ("max_rows = 0\n", "max_rows"),
        ("rows = 5\n", "unknown key"),
    ],
)
def test_broken_settings_name_the_key(tmp_path: Path, text: str, words: str) -> None:
    """A setting that cannot be used is named, and its secret is not repeated."""
    config = tmp_path / "databases.toml"
    config.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_settings(DatabasesSettings, {}, config)

    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_url_is_not_shown() -> None:
    """A URL can hold a password, so settings do not show it."""
    settings = DatabasesSettings.model_validate({"databases": {"one": {"url": "/secret/place.db"}}})

    assert "place" not in repr(settings)
