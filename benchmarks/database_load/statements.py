"""What the clients ask, and the tables that they ask about."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Asking: TypeAlias = Literal["fast", "slow", "huge cell", "huge rows", "cancelled"]
KINDS: tuple[Asking, ...] = get_args(Asking)

GUESTS, STAYS = 2_000, 40_000

TABLES = (
    "CREATE TABLE guests (id int PRIMARY KEY, name varchar(40), country varchar(2), password_hash varchar(64))",
    "CREATE TABLE stays (id int PRIMARY KEY, guest int, night date, price numeric(8, 2))",
    "CREATE INDEX stays_guest ON stays (guest)",
    "CREATE TABLE locked (id int)",
    "CREATE TABLE written (id int PRIMARY KEY, at int)",
    "INSERT INTO written VALUES (1, 0)",
)
FAST = (
    "SELECT id, name, country FROM guests WHERE id = {0}",
    "SELECT night, price FROM stays WHERE guest = {0} ORDER BY night LIMIT 20",
    "SELECT g.country, count(*) AS stays, sum(s.price) AS paid FROM guests g JOIN stays s ON s.guest = g.id "  # noqa: ISC004 - one query
    "WHERE g.id BETWEEN {0} AND {0} + 20 GROUP BY g.country ORDER BY g.country",
)
WRITING = "UPDATE written SET at = at + 1 WHERE id = 1"
WORKING = "SELECT count(*) FROM stays a JOIN stays b ON a.price < b.price"
HUGE_ROWS = "SELECT a.*, b.* FROM stays a CROSS JOIN guests b"


@dataclass(frozen=True)
class Statements:
    """What one engine is asked."""

    huge_cell: str
    slow: str = WORKING
    """Runs into the time limit."""

    def asked(self, kind: Asking, chance: random.Random) -> str:
        texts = {"slow": self.slow, "cancelled": WORKING, "huge cell": self.huge_cell, "huge rows": HUGE_ROWS}
        return texts.get(kind, chance.choice(FAST)).format(chance.randrange(1, GUESTS))

    def cut(self, sql: str) -> str:
        """*sql* as somebody writes it whose own hands have to cut what is too large."""
        if sql == HUGE_ROWS:
            return f"{sql} LIMIT 100"
        if sql.startswith(self.huge_cell.partition("{")[0]):
            return f"SELECT substr(c, 1, 1000) FROM ({sql}) q"  # noqa: S608 - made of constants
        return sql


def in_turn(rounds: int) -> list[str]:
    """Fast queries for one client."""
    return [FAST[turn % len(FAST)].format(1 + turn % (GUESTS - 1)) for turn in range(rounds)]


def guests() -> list[Sequence[object]]:
    return [(i, f"guest{i}", "DEFRIT"[i % 3 * 2 :][:2], f"{i:064x}") for i in range(1, GUESTS + 1)]


def stays() -> list[Sequence[object]]:
    return [(i, 1 + i % GUESTS, f"2026-{1 + i % 12:02}-{1 + i % 28:02}", f"{i % 977 / 7:.2f}") for i in range(1, STAYS + 1)]
