"""The proxy's configuration: what it says of the live instances can be read back, and nothing in a service can add to it."""

import pytest
from opsroom_deployments.platforms.docker.haproxy import Pointer, Server, configuration, health_of, parse, probing
from opsroom_deployments.spec import Probe


def _server(number: int, probe: Probe | None = None, release: str = "1.4.0", drain: float = 5.0) -> Server:
    return Server(f"shop.production.{release}.{number}", release, number, 8080, probe, drain, 10.0)


def test_pointer_is_read_back() -> None:
    """The generation and the instances are read back in the order in which they were written."""
    text = configuration(7, 8080, (_server(0, release="2"), _server(1)))

    assert parse(text) == Pointer(7, (("2", 0), ("1.4.0", 1)))
    assert parse(configuration(8, 8080, ())) == Pointer(8, ())


def test_torn_configuration_is_no_pointer() -> None:
    """A configuration of which any part is missing at its end says nothing about what is live."""
    text = configuration(7, 8080, (_server(0),)).rstrip()

    assert [length for length in range(len(text)) if parse(text[:length])] == []


@pytest.mark.parametrize("path", ["/a\n  server evil 10.0.0.1:80", '/a" quoted', "/a b#c", "/a\\ 'b' $HOME", "/\r\nGET /evil"])
def test_path_of_a_probe_stays_a_path(path: str) -> None:
    """A path cannot add a line or a word to the configuration of either proxy."""
    probe = Probe(path=path)
    plain = Probe(path="/plain")

    for text, other in (
        (configuration(1, 80, (_server(0, probe),)), configuration(1, 80, (_server(0, plain),))),
        (probing(_server(0), probe), probing(_server(0), plain)),
    ):
        assert [len(line.split()) for line in text.splitlines()] == [len(line.split()) for line in other.splitlines()]
        assert not any(mark in line for line in text.splitlines() if "http-check send" in line for mark in "\"'\\$#")


@pytest.mark.parametrize(("drain", "idle"), [(0.0, "1000ms"), (5.0, "4000ms"), (60.0, "10000ms")])
def test_idle_connections_go_before_the_instance(drain: float, idle: str) -> None:
    """A connection may be idle for less time than an instance drains, and for at least a second."""
    text = configuration(1, 80, (_server(0, drain=drain),))

    assert f"timeout http-keep-alive {idle}" in text


def test_releases_that_are_probed_differently_are_only_connected_to() -> None:
    """While two releases with different probes are live, neither is asked with the probe of the other."""
    mixed = configuration(1, 80, (_server(0, Probe(path="/new"), "2"), _server(1, Probe(path="/old"))))
    alike = configuration(1, 80, (_server(0, Probe(path="/same"), "2"), _server(1, Probe(path="/same"))))

    assert "httpchk" not in mixed
    assert "uri /same" in alike


@pytest.mark.parametrize(
    ("line", "up", "words"),
    [
        (
            (
                'Health check for server live/shop.production.1.0 failed, reason: Layer7 wrong status, code: 503, info: "No", '
                "check duration: 0ms, status: 0/1 DOWN."
            ),
            False,
            'failed, reason: Layer7 wrong status, code: 503, info: "No", check duration: 0ms',
        ),
        (
            (
                "[WARNING]  (8) : Health check for server gate/shop.production.1.0 succeeded, reason: Layer4 check passed, "
                "check duration: 3ms, status: 3/3 UP."
            ),
            True,
            "succeeded, reason: Layer4 check passed, check duration: 3ms",
        ),
    ],
)
def test_health_is_read_from_the_log(line: str, up: bool, words: str) -> None:  # noqa: FBT001 - a case
    """A line of the proxy's log about a check names the server, whether it is up, and what was found."""
    found = health_of(line)

    assert found is not None
    assert (found[0], found[1].up, found[1].words) == ("shop.production.1.0", up, words)
    assert health_of("Proxy live stopped (cumulated conns: FE: 0, BE: 0).") is None
