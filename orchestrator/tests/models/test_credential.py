"""Which key and address a rung gets, from an environment that is handed in."""

import pytest
from opsroom.models.credential import DEFAULT_BASE_URL, Credential, configured, credential_of
from opsroom.settings import RungSettings

RUNG = RungSettings(model="claude-opus-5-5")
OWN = RungSettings(model="local", base_url="http://127.0.0.1:8080/", api_key_env="LOCAL_KEY")


@pytest.mark.parametrize(
    ("rung", "environ", "credential"),
    [
        (RUNG, {"ANTHROPIC_API_KEY": "k"}, Credential(DEFAULT_BASE_URL, "k")),
        (RUNG, {"ANTHROPIC_API_KEY": " k\n"}, Credential(DEFAULT_BASE_URL, "k")),
        (RUNG, {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_AUTH_TOKEN": "t"}, Credential(DEFAULT_BASE_URL, "k")),
        (RUNG, {"ANTHROPIC_AUTH_TOKEN": "t"}, Credential(DEFAULT_BASE_URL, "t", is_token=True)),
        (RUNG, {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://proxy/"}, Credential("http://proxy", "k")),
        (RUNG, {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": ""}, Credential(DEFAULT_BASE_URL, "k")),
        (OWN, {"LOCAL_KEY": "k", "ANTHROPIC_BASE_URL": "http://proxy"}, Credential("http://127.0.0.1:8080", "k")),
    ],
)
def test_a_rung_gets_its_key_and_address(rung: RungSettings, environ: dict[str, str], credential: Credential) -> None:
    """The rung's own settings come first, then the environment, then the public API."""
    assert credential_of(rung, environ) == credential


@pytest.mark.parametrize(
    ("rung", "environ"),
    [
        (RUNG, {}),
        (RUNG, {"ANTHROPIC_API_KEY": ""}),
        (RUNG, {"ANTHROPIC_API_KEY": "  \n"}),
        (RUNG, {"ANTHROPIC_API_KEY": "sk-änt"}),
        (RUNG, {"ANTHROPIC_API_KEY": "two words"}),
        (RUNG, {"ANTHROPIC_PROFILE": "work"}),
        (OWN, {"ANTHROPIC_API_KEY": "k"}),
        (OWN, {"ANTHROPIC_AUTH_TOKEN": "t"}),
    ],
)
def test_a_rung_without_a_usable_key_has_none(rung: RungSettings, environ: dict[str, str]) -> None:
    """Nothing stands in for a key that is missing or could not be sent, least of all another endpoint's."""
    assert credential_of(rung, environ) is None


def test_a_credential_does_not_show_its_key() -> None:
    """A credential that lands in a log or a traceback tells the address and not the key."""
    assert "k-secret" not in repr(Credential("http://proxy", "k-secret"))


def test_only_rungs_with_a_key_are_configured() -> None:
    """Whether a model can be asked at all is known before anything is connected."""
    assert configured((RUNG, OWN), {"LOCAL_KEY": "k"}) == (OWN,)
    assert configured((RUNG, OWN), {}) == ()
