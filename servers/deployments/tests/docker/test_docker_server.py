"""The deployer on a real engine, as its settings describe it: a plan, its release, and how the service stands afterwards."""

from pathlib import Path

from opsroom_deployments.deployer import Caller
from opsroom_deployments.opening import opened
from opsroom_deployments.plans import Wish
from opsroom_deployments.settings import DeploymentsSettings

from .dockerd import PROXY, SHOP
from .shops import Shop


async def test_plan_is_carried_out_on_docker(shop: Shop, tmp_path: Path) -> None:
    """A service that is configured on a Docker platform is planned, released, and found live; nothing is left over."""
    name = shop.target.service
    settings = DeploymentsSettings.model_validate(
        {
            "state": str(tmp_path),
            "allow_writes": True,
            "platforms": {"engine": {"kind": "docker", "socket": shop.docker.socket, "proxy_image": PROXY}},
            "environments": {"production": {"platform": "engine", "watch_seconds": 0}},
            "services": {name: {"image": SHOP, "port": 8080, "environments": {"production": {"publish": shop.port}}}},
        }
    )
    async with opened(settings) as deployer:
        plan = await deployer.plan(Wish(shop.target, "deploy", "2", by="grace"))
        deployment = await deployer.apply(plan.plan_id, plan.digest, "a test", Caller("grace", "pytest"), "grace")
        ended = await deployer.watch_to_the_end(deployment)
        (_, service), *_ = await deployer.targets(name)
        status = await deployer.status(shop.target, service)
        answer = await shop.ask()
    left = await shop.containers()

    assert plan.can_apply, plan.checks
    assert (ended.state, ended.live, answer) == ("succeeded", "2", "2")
    assert (status.live, status.address, status.problems) == ("2", f"http://127.0.0.1:{shop.port}", [])
    assert [each.health for each in status.releases] == ["healthy"]
    assert left == {"2.0", f"proxy-{shop.port}"}
