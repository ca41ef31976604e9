"""What people write about services and environments, and what is said when it is wrong."""

from pathlib import Path

import pytest
from opsroom_deployments.settings import DeploymentsSettings
from opsroom_deployments.spec import Environment, Service, problems_of
from opsroom_shared.config import ConfigError
from opsroom_shared.settings import read_settings
from pydantic import ValidationError

SERVICE: dict[str, object] = {"image": "registry.example/shop", "port": 8080}


def problems(**definition: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Service.model_validate({**SERVICE, **definition})
    return problems_of(caught.value)


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ({"prot": 80}, "prot: unknown key (of a service there are image, command"),
        ({"probe": {"path": "healthz"}}, "probe.path: a path starts with /"),
        ({"probe": {"paht": "/"}}, "probe.paht: unknown key"),
        ({"port": 99_999}, "port: input should be less than or equal to 65535"),
        ({"strategy": "canary"}, "strategy: input should be 'blue_green' or 'rolling'"),
        ({"replicas": -1}, "replicas: input should be greater than or equal to 0"),
        ({"environments": {"Prod": {}}}, "environments.Prod"),
        ({"environment": {"a-b": "x"}}, "environment.a-b"),
        ({"secrets": {"TOKEN": "hunter2"}}, "secrets: for TOKEN write env:NAME or file:/path, not the secret itself"),
        (
            {"environments": {"dev": {"secrets": {"T": "file:rel"}}}},
            "environments.dev.secrets: for T write env:NAME or file:/path",
        ),
    ],
)
def test_wrong_definition_is_explained(definition: dict[str, object], words: str) -> None:
    """The key that is wrong is named, with what would be right."""
    assert words in problems(**definition)


def test_values_are_not_repeated() -> None:
    """What a caller has written by mistake may be a secret: no value of it is in the words."""
    words = problems(
        secrets={"A": "hunter2"}, image=["hunter2"], command="hunter2", user={"x": "hunter2"}, grace_seconds="hunter2"
    )

    assert words.count(";") == 4
    assert "hunter2" not in words


def test_many_problems_are_counted() -> None:
    """Five are said, the rest is a number."""
    assert problems(**{f"key_{number}": 1 for number in range(9)}).endswith("; and 4 more")


@pytest.mark.parametrize("where", ["env:SHOP_TOKEN", "file:/run/secrets/token"])
def test_secrets_say_where_they_are(where: str) -> None:
    """A secret is named by its place, for all environments or for one."""
    own = {"dev": {"secrets": {"TOKEN": where}}}
    service = Service.model_validate({**SERVICE, "secrets": {"TOKEN": where}, "environments": own})

    assert service.secrets == service.environments["dev"].secrets == {"TOKEN": where}


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("2026-12-24T00:00:00", "2026-12-27T00:00:00", "times with a zone"),
        ("2026-12-27T00:00:00Z", "2026-12-24T00:00:00Z", "ends after it starts"),
    ],
)
def test_freeze_that_makes_no_sense(start: str, end: str, words: str) -> None:
    """A freeze has a zone, and an end after its start."""
    with pytest.raises(ValidationError, match=words):
        Environment.model_validate({"freezes": [{"start": start, "end": end}]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[services.shop]\nimage = 'x'\nreplica = 2\n", "deployments.toml:3: services.shop.replica: unknown key"),
        ("[environments.dev]\nplatform = 'dokcer'\n", "there is no platform 'dokcer'; there are local"),
        ("[services.Shop]\nimage = 'x'\n", "services.Shop"),
        ("[services.shop]\nsecrets = { TOKEN = 'hunter2' }\n", "write env:NAME or file:/path"),
        ("[platforms.edge]\nkind = 'swarm'\n", "platforms.edge.kind"),
    ],
)
def test_wrong_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """The file of --config is refused with the line and the key, and a secret that stands in it is not repeated."""
    file = tmp_path / "deployments.toml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError) as refused:
        read_settings(DeploymentsSettings, {}, file)

    assert words in str(refused.value)
    assert "hunter2" not in str(refused.value)
