"""The settings of the deployments server: platforms, environments, services, where its state is, and who hears of a change."""

from typing import ClassVar, Self

from opsroom_shared.settings import ServerSettings
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from .spec import Approval, Environment, PlatformSettings, Service, Slug


class DeploymentsSettings(ServerSettings):
    """The settings of DESIGN 3.1, and what is released where."""

    model_config = SettingsConfigDict(env_prefix="OPSROOM_DEPLOYMENTS_", env_nested_delimiter="__")
    name: ClassVar[str] = "deployments"

    platforms: dict[Slug, PlatformSettings] = Field(default_factory=dict, description="Where instances run, by name.")
    environments: dict[Slug, Environment] = Field(default_factory=dict, description="How releases are treated, by environment.")
    services: dict[Slug, Service] = Field(default_factory=dict, description="The services by name.")
    database: SecretStr | None = Field(
        default=None,
        description="SQLAlchemy URL of the state, for several machines; a SQLite file in the state folder by default.",
    )
    write_environments: tuple[str, ...] = Field(
        default=(), description="With allow_writes, the only environments that may be changed; globs. Empty: all."
    )
    approve: Approval = Field(
        default="never",
        description="Asks for approval at least this often, whatever an environment says: never, risky or always.",
    )
    plan_minutes: float = Field(default=15.0, gt=0, le=1_440, description="How long a plan can be applied.")
    grafana_url: str | None = Field(default=None, description="A Grafana that gets an annotation for each deployment.")
    grafana_token: SecretStr | None = Field(default=None, description="Its service account token.")
    webhook: SecretStr | None = Field(default=None, description="An address that each deployment is posted to as JSON.")

    @model_validator(mode="after")
    def _names_that_exist(self) -> Self:
        platforms = {"local", *self.platforms}
        for name, environment in self.environments.items():
            if environment.platform not in platforms:
                known = ", ".join(sorted(platforms))
                raise ValueError(
                    f"environments.{name}.platform: there is no platform {environment.platform!r}; there are {known}"
                )
        return self
