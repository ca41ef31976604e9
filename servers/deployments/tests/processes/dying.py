"""Carries out deployments in processes that are killed at a step of theirs: dying.py, with a line of JSON for each on its input.

{"config": file, "action": …, "version": …, "at": n} → the process is killed right after it has written its n-th step; a line with
the stages that it had written is printed. It forks one per line, so that only the first pays for the imports.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from opsroom_deployments.deployer import Caller, Deployer
from opsroom_deployments.opening import open_platform
from opsroom_deployments.plans import Wish
from opsroom_deployments.platforms import Target
from opsroom_deployments.settings import DeploymentsSettings
from opsroom_deployments.sinks import Sinks
from opsroom_deployments.spec import PlatformSettings
from opsroom_deployments.state.store import Store
from opsroom_deployments.vocabulary import Stage
from typing_extensions import override

ADA = Caller("ada", "a process that dies")


class DyingStore(Store):
    """Kills its process when it has written the step *at*."""

    def __init__(self, folder: Path, at: int) -> None:
        super().__init__(None, folder)
        self._left = at

    @override
    async def step(self, deployment_id: str, owner: str, stage: Stage, text: str) -> None:
        await super().step(deployment_id, owner, stage, text)
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


async def carry_out(settings: DeploymentsSettings, action: str, version: str | None, at: int) -> None:
    platform = open_platform("local", PlatformSettings(), settings)
    deployer = Deployer(settings, DyingStore(settings.state_folder, at), {"local": platform}, Sinks(settings))
    plan = await deployer.plan(Wish(Target("shop", "dev"), action, version, by="ada"))  # pyright: ignore[reportArgumentType] - of a test
    await deployer.watch_to_the_end(await deployer.apply(plan.plan_id, plan.digest, "a test", ADA, None))


def main() -> None:
    for line in sys.stdin:
        wanted = json.loads(line)
        child = os.fork()
        if not child:
            try:
                settings = DeploymentsSettings.model_validate_json(Path(wanted["config"]).read_text(encoding="utf-8"))
                asyncio.run(carry_out(settings, wanted["action"], wanted["version"], wanted["at"]))
            finally:
                os._exit(1)  # it was to be killed before that
        _, status = os.waitpid(child, 0)
        print(json.dumps({"pid": child, "killed": os.WIFSIGNALED(status)}), flush=True)  # noqa: T201 - what it is run for


if __name__ == "__main__":
    main()
