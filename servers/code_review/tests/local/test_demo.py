"""The demo repository."""

import subprocess
from datetime import date, timedelta
from pathlib import Path

import pytest
from opsroom_code_review.demo import demo_repository, make_repository
from opsroom_code_review.providers import ChangeQuery, Page, TaskQuery
from opsroom_code_review.providers.local import LocalProvider

from .scratch import diff_of, lines_of, provider

DAY = date(2026, 11, 24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo as of one day."""
    made = tmp_path_factory.mktemp("demo")
    make_repository(made, DAY)
    return made


@pytest.fixture
def shop(folder: Path) -> LocalProvider:
    return provider(folder)


async def test_what_is_open_in_the_demo(shop: LocalProvider) -> None:
    """A bug, a stacked pair, a rename, a change of 80 files, and one that instructs its reader."""
    found = await shop.find_changes(ChangeQuery(), Page())

    assert {change.ref: change.state for change in found.items} == {
        "payment-retries": "open",
        "order-export": "accepted",
        "order-export-filters": "open",
        "shipping-labels": "needs_changes",
        "mail-placeholders": "open",
        "catalog-cache": "open",
    }
    assert len((await shop.change("mail-placeholders")).files) == 80
    assert (await shop.change("order-export-filters")).parents == ["order-export"]


async def test_the_bug_of_the_demo_can_be_seen_in_its_diff(shop: LocalProvider) -> None:
    """Each attempt makes a key of its own, inside of the loop, though the gateway takes money once per key."""
    lines = lines_of((await diff_of(shop, "payment-retries"))["shop/payments.py"])

    loop = next(at for at, line in enumerate(lines) if "for attempt in" in line)
    assert "key=str(uuid.uuid4())" in lines[loop + 1]
    assert any("takes it once per key" in line for line in lines)


async def test_the_demo_has_a_rename_a_picture_and_crlf(shop: LocalProvider) -> None:
    """All in one change."""
    files = await diff_of(shop, "shipping-labels")

    assert files["shop/shipping_labels.py"].old_path == "shop/labels.py"
    assert files["static/logo.png"].binary
    assert all(line.endswith("\r") for line in lines_of(files["docs/carrier-codes.csv"]))


async def test_the_demo_has_talk_tasks_and_checks(shop: LocalProvider) -> None:
    """A question beside the bug, an acceptance of an earlier version, a failed check with its log, and open tasks."""
    threads = await shop.threads(change="payment-retries", task=None)
    reviewers = (await shop.change("payment-retries")).reviewers
    checks = await shop.checks("mail-placeholders", check="tests", log_lines=80)
    tasks = (await shop.find_tasks(TaskQuery(), Page())).items

    assert [(thread.anchor.line, thread.anchor.outdated) for thread in threads if thread.anchor] == [(13, False)]
    assert {each.who.name: each.stale for each in reviewers}["Jonas Weber"]
    assert "KeyError: 'order_nubmer'" in (checks.checks[0].log_tail or "")
    assert {task.ref for task in tasks} == {"T1", "T2", "T3", "T4"}


async def test_an_earlier_version_of_the_bug_can_be_compared(shop: LocalProvider) -> None:
    """A rebase lies between the two, and only what the author changed is shown."""
    first = (await shop.change("payment-retries")).versions[0].id

    assert list(await diff_of(shop, "payment-retries", since=first)) == ["shop/payments.py", "tests/test_payments.py"]


def test_the_same_day_makes_the_same_commits(folder: Path, tmp_path: Path) -> None:
    """Wherever and whenever the demo is made; and its working tree is clean."""
    make_repository(tmp_path, DAY)

    def heads(of: Path) -> str:
        return subprocess.run(["git", "for-each-ref"], cwd=of, capture_output=True, check=True, text=True).stdout

    status = subprocess.run(["git", "status", "--porcelain"], cwd=tmp_path, capture_output=True, check=True, text=True).stdout

    assert heads(tmp_path) == heads(folder)
    assert status == ""


def test_the_demo_is_made_once(tmp_path: Path) -> None:
    """What was said in it stays; an old one, and one of another version, is made again."""
    place = demo_repository(tmp_path)
    kept = place / ".git" / "kept"
    kept.touch()
    demo_repository(tmp_path)
    stayed = kept.exists()
    marker = place / ".git" / "opsroom-demo"
    version, day = marker.read_text().split()
    marker.write_text(f"{version} {date.fromisoformat(day) - timedelta(days=60)}")
    demo_repository(tmp_path)

    assert stayed
    assert not kept.exists()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["shop"]


def test_what_is_no_demo_is_not_replaced(tmp_path: Path) -> None:
    """A folder of the same name that is somebody's own stays, and the demo is made elsewhere."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mine").touch()

    place = demo_repository(tmp_path)

    assert (tmp_path / "shop" / "mine").exists()
    assert place != tmp_path / "shop"
    assert (place / ".git").is_dir()
