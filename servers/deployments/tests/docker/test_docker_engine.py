"""An engine that is not there is an answer, and never a surprise."""

from pathlib import Path

import pytest
from opsroom_deployments.platforms import Target
from opsroom_deployments.platforms.docker.engine import DockerEngine
from opsroom_deployments.platforms.docker.host import DockerHost
from opsroom_shared.errors import Unavailable


async def test_engine_that_is_not_there(tmp_path: Path) -> None:
    """Where no engine answers, the platform says how to give it one, and every question is refused as unavailable."""
    host = DockerHost(DockerEngine(f"unix://{tmp_path}/nobody.sock"), proxy_image="proxy", bind="127.0.0.1")
    reason = await host.ready()
    with pytest.raises(Unavailable, match="No Docker Engine answers") as refused:
        await host.observe(Target("shop", "production"))
    await host.aclose()

    assert reason == str(refused.value)
    assert "`socket` of the platform or DOCKER_HOST" in str(refused.value)
