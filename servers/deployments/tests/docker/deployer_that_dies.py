"""Carries out an order on a Docker Engine and is killed before a step: deployer_that_dies.py SOCKET {order, stage, proxy}."""

import asyncio
import json
import os
import signal
import sys

from opsroom_deployments.platforms import Order
from opsroom_deployments.platforms.docker.engine import DockerEngine
from opsroom_deployments.platforms.docker.host import DockerHost
from opsroom_deployments.vocabulary import Stage
from opsroom_deployments.zero_loss import ZeroLossPlatform
from pydantic import TypeAdapter


class DeadlyJournal:
    """Kills this process at a stage, as a power cut would: nothing is tidied up."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    async def step(self, stage: Stage, text: str) -> None:  # noqa: ARG002 - as the platform calls it
        if stage == self._stage:
            os.kill(os.getpid(), signal.SIGKILL)

    def aborted(self) -> bool:
        return False


async def main(where: str, about: dict[str, str]) -> None:
    order = TypeAdapter(Order).validate_python(about["order"])
    host = DockerHost(DockerEngine(where), proxy_image=about["proxy"], bind="127.0.0.1")
    await ZeroLossPlatform("docker", host).carry_out(order, DeadlyJournal(about["stage"]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
