"""The file ~/.arcrc."""

import json
from pathlib import Path

import pytest
from opsroom_code_review.providers.phabricator import arcrc
from opsroom_shared.redact import redact

TOKEN = "cli-abcdefghij0123456789abcdefgh"  # noqa: S105 - of no account


def _written(folder: Path, content: object, mode: int = 0o600) -> Path:
    file = folder / ".arcrc"
    file.write_text(json.dumps(content))
    file.chmod(mode)
    return file


def test_hosts_and_default() -> None:
    """Hosts lose arc's /api/, and the default is the one that arc uses."""
    found = arcrc.parse(
        json.dumps(
            {
                "hosts": {
                    "https://phorge.example/api/": {"token": TOKEN},
                    "http://other.example:8080/api/": {"token": "cli-other00000000000000000000000"},
                },
                "config": {"default": "https://phorge.example/"},
            }
        )
    )

    assert [host.url for host in found.hosts] == ["https://phorge.example", "http://other.example:8080"]
    assert found.default == "https://phorge.example"
    host = found.host()
    assert host is not None
    assert host.token.get_secret_value() == TOKEN
    assert found.warnings == ()


@pytest.mark.parametrize(
    "url", ["https://phorge.example", "https://PHORGE.example/", "https://phorge.example:443/api/", "https://phorge.example/api"]
)
def test_one_server_is_found_however_it_is_written(url: str) -> None:
    """Scheme, host and port decide, not how the address is written."""
    found = arcrc.parse(json.dumps({"hosts": {"https://phorge.example/api/": {"token": TOKEN}}}))

    host = found.host(url)

    assert host is not None
    assert host.url == "https://phorge.example"


@pytest.mark.parametrize("url", ["http://phorge.example", "https://phorge.example.org", "https://phorge.example:444", "nonsense"])
def test_the_token_of_one_server_is_for_no_other(url: str) -> None:
    """Another scheme, host or port gets no token."""
    found = arcrc.parse(json.dumps({"hosts": {"https://phorge.example/api/": {"token": TOKEN}}}))

    assert found.host(url) is None


def test_without_default_only_a_single_host_is_meant() -> None:
    """Of two hosts none is chosen by guess."""
    one = {"https://a.example/api/": {"token": TOKEN}}
    two = {**one, "https://b.example/api/": {"token": TOKEN}}

    assert arcrc.parse(json.dumps({"hosts": one})).host() is not None
    assert arcrc.parse(json.dumps({"hosts": two})).host() is None


def test_old_certificates_are_told() -> None:
    """An entry with a certificate of old is left out with a warning that has no secret."""
    found = arcrc.parse(json.dumps({"hosts": {"https://a.example/api/": {"user": "bob", "cert": "s3cr3tcertificate"}}}))

    assert found.hosts == ()
    assert "old certificate" in found.warnings[0]
    assert "s3cr3t" not in found.warnings[0]


def test_phps_empty_maps() -> None:
    """PHP writes an empty map as a list."""
    assert arcrc.parse('{"hosts": [], "config": []}').hosts == ()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"hosts": {"https://a.example": "cli-secret"}}', '{"hosts": 5}', "[" * 100_000])
def test_a_broken_file_says_so_without_its_contents(text: str) -> None:
    """The words name what is wrong and quote nothing."""
    with pytest.raises(ValueError, match="it is not") as caught:
        arcrc.parse(text)

    assert "secret" not in str(caught.value)


def test_a_file_that_others_may_read_is_used_with_a_warning(tmp_path: Path) -> None:
    """Tokens that others can read are told to a person."""
    content = {"hosts": {"https://a.example/api/": {"token": TOKEN}}}

    private = arcrc.load(_written(tmp_path, content))
    shared = arcrc.load(_written(tmp_path, content, 0o644))

    assert private.warnings == ()
    assert len(shared.hosts) == 1
    assert "chmod 600" in shared.warnings[0]


def test_no_file_is_nothing(tmp_path: Path) -> None:
    """Where there is no file there are no hosts."""
    assert arcrc.load(tmp_path / ".arcrc").hosts == ()
    assert arcrc.load(tmp_path / ".arcrc" / "below").hosts == ()


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b" " * (1 << 20) + b"{}"])
def test_a_file_that_cannot_be_used_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    """A file that is broken, no text, or far too large is refused by name."""
    file = tmp_path / ".arcrc"
    file.write_bytes(content)

    with pytest.raises(ValueError, match="arcrc"):
        arcrc.load(file)


def test_tokens_are_hidden_from_then_on() -> None:
    """What was read as a token is taken out of every text that is redacted."""
    arcrc.parse(json.dumps({"hosts": {"https://a.example/api/": {"token": "no-shape-of-a-token"}}}))

    assert redact("the no-shape-of-a-token leaked") == "the *** leaked"
