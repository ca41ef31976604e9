"""Which systems there are, by the settings, the environment and ~/.arcrc."""

import json
from pathlib import Path

import pytest
from opsroom_code_review.configured import systems
from opsroom_code_review.settings import CodeReviewSettings, ProviderSettings
from opsroom_shared.config import ConfigError
from opsroom_shared.redact import redact

TOKEN = "api-" + "q" * 28


def settings(**providers: dict[str, object]) -> CodeReviewSettings:
    return CodeReviewSettings.model_validate({"providers": providers})


def token_of(provider: ProviderSettings) -> str | None:
    return provider.token.get_secret_value() if provider.token else None


@pytest.fixture
def arcrc(tmp_path: Path) -> Path:
    file = tmp_path / ".arcrc"
    hosts = {"https://phorge.example/api/": {"token": TOKEN}, "https://other.example/api/": {"token": "cli-" + "z" * 28}}
    file.write_text(json.dumps({"hosts": hosts, "config": {"default": "https://phorge.example/"}}), encoding="utf-8")
    file.chmod(0o600)
    return file


def test_nothing_configured_says_what_to_do(tmp_path: Path) -> None:
    """Each way to configure a system is named."""
    with pytest.raises(ConfigError, match=r"--repo PATH.*GITHUB_TOKEN.*GITLAB_TOKEN.*PHABRICATOR_URL.*--demo"):
        systems(settings(), {}, tmp_path / "none")


def test_tokens_of_the_environment_add_systems(tmp_path: Path) -> None:
    """Each kind that has a token is there under its own name, at its own address, and the token is hidden."""
    environment = {
        "PHABRICATOR_URL": "https://phorge.example",
        "PHABRICATOR_API_TOKEN": "secret-of-phabricator",
        "GITHUB_TOKEN": "secret-of-github",
        "GITHUB_API_URL": "https://github.example/api/v3",
        "GITLAB_TOKEN": "secret-of-gitlab",
    }

    found = systems(settings(), environment, tmp_path / "none")

    assert {name: (each.kind, each.url, token_of(each)) for name, each in found.items()} == {
        "phabricator": ("phabricator", "https://phorge.example", "secret-of-phabricator"),
        "github": ("github", "https://github.example/api/v3", "secret-of-github"),
        "gitlab": ("gitlab", None, "secret-of-gitlab"),
    }
    assert redact("log: secret-of-gitlab") == "log: ***"


def test_a_configured_system_keeps_others_of_its_kind_away(tmp_path: Path) -> None:
    """A token of the environment goes to a configured system of the same address, and never to another one."""
    environment = {"GITLAB_TOKEN": "secret-of-gitlab", "GITLAB_URL": "https://gitlab.example"}

    same = systems(settings(work={"kind": "gitlab", "url": "https://gitlab.example/"}), environment, tmp_path / "none")
    other = systems(settings(work={"kind": "gitlab", "url": "https://elsewhere.example"}), environment, tmp_path / "none")

    assert {name: token_of(each) for name, each in same.items()} == {"work": "secret-of-gitlab"}
    assert {name: token_of(each) for name, each in other.items()} == {"work": None}


@pytest.mark.parametrize(
    ("environment", "url"),
    [({}, "https://phorge.example"), ({"PHABRICATOR_URL": "https://other.example/"}, "https://other.example")],
)
def test_arcrc_is_read_as_its_users_have_it(arcrc: Path, environment: dict[str, str], url: str) -> None:
    """Without a token in the environment, the default host of ~/.arcrc is used, or the one of PHABRICATOR_URL."""
    found = systems(settings(), environment, arcrc)

    assert [(name, each.url) for name, each in found.items()] == [("phabricator", url)]
    assert token_of(found["phabricator"])


def test_a_configured_address_finds_its_token_in_arcrc(arcrc: Path) -> None:
    """A section needs no token that ~/.arcrc already has."""
    found = systems(settings(work={"kind": "phabricator", "url": "https://phorge.example"}), {}, arcrc)

    assert token_of(found["work"]) == TOKEN


@pytest.mark.parametrize(
    ("providers", "environment", "words"),
    [
        ({"x": {"kind": "local"}}, {}, "providers.x.path"),
        ({"x": {"kind": "phabricator", "url": "https://p.example"}}, {}, "needs url and token"),
        ({}, {"PHABRICATOR_API_TOKEN": "t" * 9}, "PHABRICATOR_URL is not"),
        ({}, {"PHABRICATOR_URL": "https://p.example"}, "there is no token for it"),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, providers: dict[str, dict[str, object]], environment: dict[str, str], words: str
) -> None:
    """A system that lacks what it needs is an error of the configuration, not of the first call."""
    with pytest.raises(ConfigError, match=words):
        systems(settings(**providers), environment, tmp_path / "none")
