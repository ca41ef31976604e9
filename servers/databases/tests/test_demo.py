"""The demo shop."""

import asyncio
import datetime as dt
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from opsroom_databases.demo import DemoSource, fill_shop, make_shop

DAY = dt.date(2026, 11, 24)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop as of one day."""
    return make_shop(tmp_path_factory.mktemp("shop") / "shop.db", DAY)


def ask(file: Path, sql: str) -> list[tuple[int | str, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(sql).fetchall()


def test_shop_is_whole(shop: Path) -> None:
    """Every table has rows, at least 50,000 of them orders, and every foreign key holds."""
    tables = [row[0] for row in ask(shop, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]

    assert tables == ["customers", "products", "orders", "order_lines", "payments", "refunds", "support_tickets"]
    assert all(ask(shop, f"SELECT count(*) > 0 FROM {table}") == [(1,)] for table in tables)  # noqa: S608 - names of our own
    assert ask(shop, "SELECT count(*) >= 50000 FROM orders") == [(1,)]
    assert ask(shop, "PRAGMA foreign_key_check") == []


def test_shop_ends_where_the_day_begins(shop: Path) -> None:
    """Orders cover the 400 days before, and nothing has happened later than the day that the shop was made for."""
    assert ask(shop, "SELECT date(min(placed_at)), date(max(placed_at)) FROM orders") == [("2025-10-20", "2026-11-23")]
    for table, column in (("refunds", "refunded_at"), ("support_tickets", "opened_at"), ("orders", "shipped_at")):
        assert ask(shop, f"SELECT max({column}) < '2026-11-24' FROM {table}") == [(1,)]  # noqa: S608 - names of our own


def test_totals_are_sums_of_lines(shop: Path) -> None:
    """An order costs what its lines cost, and a payment is over the order's total."""
    off = "SELECT count(*) FROM (SELECT o.id FROM orders o JOIN order_lines l ON l.order_id = o.id GROUP BY o.id HAVING sum(l.quantity * l.price_cents) <> o.total_cents)"  # noqa: E501

    assert ask(shop, off) == [(0,)]
    assert ask(
        shop, "SELECT count(*) FROM payments p JOIN orders o ON o.id = p.order_id WHERE p.amount_cents <> o.total_cents"
    ) == [(0,)]


def test_shop_grows_and_has_weekends(shop: Path) -> None:
    """The last quarter sells more than the first, and Saturdays more than Tuesdays."""
    quarter = (
        "SELECT count(*) FROM orders WHERE placed_at BETWEEN date('2026-11-24', '-{} days') AND date('2026-11-24', '-{} days')"
    )
    weekday = "SELECT count(*) FROM orders WHERE strftime('%w', placed_at) = '{}'"

    assert ask(shop, quarter.format(90, 1)) > ask(shop, quarter.format(330, 241))
    assert ask(shop, weekday.format(6)) > ask(shop, weekday.format(2))


def test_one_bad_day_stands_out(shop: Path) -> None:
    """One day has several times the refunds of any other, and its reason can be found."""
    days = ask(shop, "SELECT date(refunded_at), count(*) FROM refunds GROUP BY 1 ORDER BY 2 DESC LIMIT 2")
    (reason,) = ask(
        shop, "SELECT reason FROM refunds WHERE date(refunded_at) = '2026-11-01' GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
    )

    assert days[0][0] == "2026-11-01"
    assert int(days[0][1]) > 3 * int(days[1][1])
    assert reason == ("faulty grinder",)


def test_one_ticket_gives_instructions(shop: Path) -> None:
    """One ticket tries to instruct its reader, for whoever wants to see that it is only quoted."""
    assert ask(shop, "SELECT count(*) FROM support_tickets WHERE body LIKE '%ignore all previous instructions%'") == [(1,)]


def test_an_index_is_missing(shop: Path) -> None:
    """Orders of a customer are found only by reading all orders."""
    plan = ask(shop, "EXPLAIN QUERY PLAN SELECT * FROM orders WHERE customer_id = 5")

    assert plan[0][3] == "SCAN orders"


def test_same_day_gives_the_same_shop(shop: Path, tmp_path: Path) -> None:
    """The content depends on nothing but the day."""
    again = tmp_path / "again.db"
    fill_shop(again, DAY)

    with closing(sqlite3.connect(shop)) as first, closing(sqlite3.connect(again)) as second:
        assert list(first.iterdump()) == list(second.iterdump())


def test_shop_is_made_once_by_two_processes(tmp_path: Path) -> None:
    """Two processes that ask at the same time get the same file, and nothing half-made is left."""
    code = (
        "import sys, datetime as dt; from pathlib import Path; from opsroom_databases.demo import make_shop; "
        "print(make_shop(Path(sys.argv[1]), dt.date(2026, 11, 24)).stat().st_ino)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "shop.db")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    inodes = {process.communicate()[0] for process in both}

    assert len(inodes) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shop.db", "shop.lock"]


async def test_yesterdays_shop_is_made_again(tmp_path: Path) -> None:
    """A shop that was made for another day is replaced when it is asked for."""
    old = make_shop(tmp_path / "shop.db", dt.date(2020, 1, 1)).stat().st_ino
    source = DemoSource(tmp_path)
    made = await asyncio.gather(source.path(), source.path())

    assert made[0] == made[1] == tmp_path / "shop.db"
    assert made[0].stat().st_ino != old
    assert int(ask(made[0], "PRAGMA user_version")[0][0]) >= DAY.toordinal()


async def test_shop_needs_no_writable_state_folder(tmp_path: Path) -> None:
    """Where the state folder cannot be made, the shop lives in a temporary folder that goes away with the server."""
    blocked = tmp_path / "a file where the folder should be"
    blocked.write_text("", encoding="utf-8")
    source = DemoSource(blocked / "state")
    file = await source.path()
    answered = ask(file, "SELECT count(*) FROM products")
    await source.aclose()

    assert answered == [(140,)]
    assert not file.exists()
    assert not file.parent.exists()
