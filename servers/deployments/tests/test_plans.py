"""What plans say, what stands behind their digest, and which releases can be gone back to."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from opsroom_deployments.plans import Draft, Standing, Wish, digest_of, draft, image_reference
from opsroom_deployments.platforms import Instance, Observed, Release, Target
from opsroom_deployments.spec import Service
from opsroom_deployments.statuses import status_of
from opsroom_deployments.vocabulary import Action
from opsroom_shared.errors import InvalidInput, NotFound

SHOP = Target("shop", "dev")
BEGUN = datetime(2026, 11, 24, 10, tzinfo=UTC)
NOTHING = Standing(Observed((), (), None, None), None, {}, (), ())


def service(**changes: object) -> Service:
    environments = {"dev": {"publish": 8080}}
    return Service.model_validate(
        {"command": ["./shop"], "releases": "/srv/shop", "probe": {}, "environments": environments, **changes}
    )


def planned(action: Action = "deploy", standing: Standing = NOTHING, definition: Service | None = None, **wish: object) -> Draft:
    return draft(definition or service(), Wish(SHOP, action, by="ada", **wish), standing, "plan-1")  # pyright: ignore[reportArgumentType] - as a test writes it


def made(version: str = "1.0", definition: Service | None = None) -> Release:
    release = planned(definition=definition, version=version).release
    assert release is not None
    return replace(release, plan_id="plan-0")


def standing(live: Release, *kept: Release, proven: tuple[str, ...] = (), replicas: int = 1) -> Standing:
    placed = [Instance(live.name, number, "healthy", live=True, started_at=BEGUN) for number in range(replicas)]
    ended = [Instance(each.name, 0, "stopped", started_at=BEGUN) for each in kept]
    seen = Observed((live.name,), (*placed, *ended), None, "http://127.0.0.1:8080", replicas)
    return Standing(seen, live, {each.name: each for each in (live, *kept)}, proven, {each.name for each in (live, *kept)})


@pytest.mark.parametrize(
    ("version", "used", "name"),
    [
        ("1.4.0", (), "1.4.0"),
        ("1.4.0", ("1.4.0",), "1.4.0-2"),
        ("1.4.0", ("1.4.0", "1.4.0-2"), "1.4.0-3"),
        ("Feature_X", (), "feature-x"),
        ("v" * 90, (), "v" * 40),
    ],
)
def test_release_gets_a_name_of_its_own(version: str, used: tuple[str, ...], name: str) -> None:
    """It is the version, with a number where a release had that name already; it fits into names of files and hosts."""
    release = planned(standing=replace(NOTHING, used_names=used), version=version).release

    assert release is not None
    assert release.name == name


@pytest.mark.parametrize(
    ("version", "reference"),
    [
        ("1.4", "registry.example/shop:1.4"),
        ("sha256:0f", "registry.example/shop@sha256:0f"),
        ("other.example/shop:2", "other.example/shop:2"),
    ],
)
def test_image_reference(version: str, reference: str) -> None:
    """A tag and a digest are of the service's image; a whole reference is itself."""
    assert image_reference("registry.example/shop", version) == reference


@pytest.mark.parametrize("version", ["../etc", "a/b", "..", ".hidden", "", "x" * 101])
def test_version_is_a_folder_below_releases(version: str) -> None:
    """What could lie elsewhere is refused."""
    with pytest.raises(InvalidInput):
        planned(version=version)


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        (service(environments={"dev": {}}), r"publish = 8080, or another free port, under \[services.shop.environments.dev\]"),
        (service(releases=None), "neither `image` nor `releases`"),
        (service(replicas=0), "replicas = 0"),
    ],
)
def test_definition_that_cannot_be_released(definition: Service, words: str) -> None:
    """What is missing is said with what to write."""
    with pytest.raises(InvalidInput, match=words):
        planned(definition=definition, version="1.0")


def test_diff_shows_what_changes_and_no_secret() -> None:
    """Settings are shown with both values, what looks like a secret without, and a secret with its place alone."""
    before = service(environment={"LOG": "info", "DB_PASSWORD": "hunter2", "OLD": "1"}, secrets={"TOKEN": "env:A"})
    after = service(
        environment={"LOG": "debug", "DB_PASSWORD": "hunter3"},
        secrets={"TOKEN": "env:B", "KEY": "file:/k"},
        probe={"path": "/up"},
    )
    diff = planned(standing=standing(made(definition=before)), definition=after, version="2.0", replicas=3).diff

    assert {
        "replicas: 1 → 3",
        "name: 1.0 → 2.0",
        "folder: /srv/shop/1.0 → /srv/shop/2.0",
        "environment.LOG: info → debug",
        "environment.OLD: 1 → –",
        "environment.DB_PASSWORD: changed (***)",
        "secrets.TOKEN changed, from env:B",
        "secrets.KEY added, from file:/k",
        "probe.path: / → /up",
    } == set(diff)
    assert "hunter" not in "".join(diff)


def test_first_plan_says_what_will_be() -> None:
    """Where nothing was, the diff is what comes."""
    assert planned(definition=service(secrets={"TOKEN": "env:A"}), version="1.0").diff == (
        "replicas: 0 → 1",
        "name: – → 1.0",
        "folder: – → /srv/shop/1.0",
        "command: – → ./shop",
        "publish: – → 8080",
        "secrets.TOKEN added, from env:A",
    )


def test_digest_stands_for_plan_and_state() -> None:
    """Another release, number of replicas, plan or state has another digest; the same has the same."""
    live, other = made("1.0"), made("0.9")
    now = standing(live, other)
    plan = planned(standing=now, version="2.0")
    digests = [
        digest_of(plan, now.seen, "plan-1"),
        digest_of(plan, now.seen, "plan-2"),
        digest_of(planned(standing=now, version="3.0"), now.seen, "plan-1"),
        digest_of(planned(standing=now, version="2.0", replicas=2), now.seen, "plan-1"),
        digest_of(plan, standing(live).seen, "plan-1"),
        digest_of(plan, standing(other, live).seen, "plan-1"),
        digest_of(plan, standing(live, other, replicas=2).seen, "plan-1"),
    ]

    assert digests[0] == digest_of(planned(standing=now, version="2.0"), standing(live, other).seen, "plan-1")
    assert len({*digests}) == len(digests)


def test_digest_does_not_depend_on_health() -> None:
    """A plan stays good while an instance is restarted or is slow for a moment."""
    now = standing(made("1.0"))
    shaken = replace(now.seen, instances=tuple(replace(each, health="unhealthy", restarts=4) for each in now.seen.instances))
    plan = planned(standing=now, version="2.0")

    assert digest_of(plan, now.seen, "p") == digest_of(plan, shaken, "p")


def test_rollback_goes_to_what_was_live() -> None:
    """Without a name the newest release that has been live is meant, and not one that has failed."""
    now = standing(made("3.0"), made("bad"), made("2.0"), made("1.0"), proven=("1.0", "2.0", "3.0"))
    plan = planned("rollback", now)

    assert plan.release is not None
    assert (plan.release.name, plan.before) == ("2.0", "3.0")


@pytest.mark.parametrize(
    ("release", "kind", "words"),
    [
        (None, NotFound, "has been live is kept. Kept, to be named: 2.0"),
        ("3.0", InvalidInput, "is live already. Kept to go back to: 2.0"),
        ("9.9", NotFound, "'9.9' of shop/dev is not kept. Kept to go back to: 2.0"),
    ],
)
def test_rollback_to_nowhere(release: str | None, kind: type[Exception], words: str) -> None:
    """What cannot be gone back to is refused with what can."""
    with pytest.raises(kind, match=words):
        planned("rollback", standing(made("3.0"), made("2.0")), release=release)


@pytest.mark.parametrize("action", ["restart", "scale", "rollback", "stop", "remove"])
def test_action_on_nothing(action: Action) -> None:
    """What needs something that is there is refused where nothing is."""
    with pytest.raises(NotFound):
        planned(action)


def test_restart_keeps_version_and_replicas() -> None:
    """A restart is a release of the same version, from the definition as it is now, with as many replicas as run."""
    plan = planned("restart", standing(made("1.0"), replicas=3))

    assert plan.release is not None
    assert (plan.release.name, plan.release.folder, plan.replicas) == ("1.0-2", str(Path("/srv/shop/1.0")), 3)


@pytest.mark.parametrize(
    ("action", "downtime", "step"),
    [("deploy", 0.0, "switch the proxy over"), ("stop", None, "point the proxy to nothing: requests are refused from here on")],
)
def test_steps_and_downtime(action: Action, downtime: float | None, step: str) -> None:
    """A plan says what is done, and whether the service runs afterwards."""
    plan = planned(action, standing(made("1.0")), version="2.0")

    assert plan.downtime_seconds == downtime
    assert step in plan.steps


def test_status_tells_drift_and_problems() -> None:
    """What is live and does not run, what was restarted, and where it differs from the definition stand in the status."""
    live = made("1.0")
    seen = Observed(
        ("1.0",),
        (
            Instance("1.0", 0, "healthy", live=True, restarts=2, started_at=BEGUN, created_by="ada"),
            Instance("1.0", 1, "stopped", live=True, started_at=BEGUN, exit_code=3),
            Instance("0.9", 0, "stopped", started_at=BEGUN),
        ),
        None,
        "http://127.0.0.1:8080",
        2,
    )
    status = status_of(SHOP, "local", service(environment={"LOG": "debug"}), seen, live)

    assert [(each.release, each.live, each.replicas, each.healthy, each.restarts) for each in status.releases] == [
        ("1.0", True, 1, 1, 2),
        ("0.9", False, 0, 0, 0),
    ]
    assert status.problems == ["1.0 #0 was restarted 2 times", "1.0 #1 should get requests and does not run (exit 3)"]
    assert status.drift == [
        "the definition has changed since the live release was made; a deploy or restart plan shows how",
        "2 replicas get requests, and the definition says 1",
    ]
