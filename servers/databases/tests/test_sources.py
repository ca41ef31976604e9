"""URLs of network engines."""

import pytest
from opsroom_databases.settings import split_flag
from opsroom_databases.sources import NetworkSource, parse_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://ada:pw@db.example:5433/shop", ("postgres", "db.example", 5433, "shop", "ada", "pw")),
        ("postgres://db/shop", ("postgres", "db", 5432, "shop", None, None)),
        ("postgresql+asyncpg://ada@[::1]:6000/shop", ("postgres", "::1", 6000, "shop", "ada", None)),
        ("postgresql://ada:p%40%2Fss%3A@db/my%20shop", ("postgres", "db", 5432, "my shop", "ada", "p@/ss:")),
        ("postgresql:///shop?host=/run/postgresql", ("postgres", "/run/postgresql", 5432, "shop", None, None)),
    ],
)
def test_url_names_a_database(url: str, expected: tuple[str, str, int, str, str | None, str | None]) -> None:
    """Host, port, database, user and password are read, decoded, and completed with the engine's own port."""
    source = parse_url(url)

    assert isinstance(source, NetworkSource)
    password = source.password.get_secret_value() if source.password else None
    assert (source.dialect, source.host, source.port, source.database, source.user, password) == expected


def test_options_are_few() -> None:
    """Options about encryption are passed on; any other is refused, so none can change how a session reads."""
    source = parse_url("postgresql://db/shop?sslmode=verify-full&sslrootcert=/etc/ca.pem")

    assert isinstance(source, NetworkSource)
    assert source.options == {"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem"}
    with pytest.raises(ValueError, match="there are: host, sslmode"):
        parse_url("postgresql://db/shop?options=-csearch_path%3Devil")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://ada:hunter2@/shop", "names no host"),
        ("postgresql://ada:hunter2@db", "names no database"),
        ("postgresql://ada:hunter2@db:port/shop", "port"),
        ("postgresql://ada:hunter2@db:70000/shop", "port"),
        ("postgresql://ada:hunter2@a,b/shop", "several hosts"),
        ("postgresql://ada:hun/ter2@db/shop", "percent-encoded"),
        ("postgresql://ada:hun?ter2=@db/shop", "percent-encoded"),
        ("postgresql://ada:hun#ter2@db/shop", "percent-encoded"),
        ("postgresql://ada@db/shop?password=hunter2", "unknown option"),
    ],
)
def test_broken_url_is_explained_without_its_parts(url: str, words: str) -> None:
    """What is wrong is said, and nothing behind the scheme is repeated: it may be a password."""
    with pytest.raises(ValueError, match=words) as caught:
        parse_url(url)

    assert not {"hunter2", "ter2", "ada", "shop"}.intersection(str(caught.value).replace("=", " ").split())


def test_password_is_not_shown() -> None:
    """A source can be logged without giving its password away."""
    assert "hunter2" not in repr(parse_url("postgresql://ada:hunter2@db/shop"))


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        ("postgresql://ada:hunter2@db/shop?sslmode=require", "shop"),
        ("crm=postgresql://ada:hunter2@db/shop", "crm"),
        ("postgresql://ada:hunter2@db", "main"),
        ("postgresql://ada:hunter2@db/2026", "main"),
    ],
)
def test_flag_without_name_takes_the_database(flag: str, name: str) -> None:
    """A URL without NAME= is called like its database, never like anything else in it."""
    assert split_flag(flag)[0] == name
