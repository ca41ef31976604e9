"""What happened on the main branch of the demo shop, the oldest first."""

import struct
import zlib
from dataclasses import dataclass, field

from .mails import LANGUAGES, templates

ADA = "Ada Novak <ada.novak@shop.example>"
JONAS = "Jonas Weber <jonas.weber@shop.example>"
MATEO = "Mateo Silva <mateo.silva@shop.example>"
PRIYA = "Priya Khan <priya.khan@shop.example>"
YUKI = "Yuki Tanaka <yuki.tanaka@shop.example>"
SAM = "Sam Fischer <sam@fischer.example>"
UPDATES = "updates[bot] <updates@shop.example>"


@dataclass(frozen=True)
class Step:
    """One commit.

    *add* appends to a file, or makes it; *put* replaces it; *swap* replaces a text that stands in it once; *move* gives it
    another path, after all that.
    """

    ago: int
    author: str
    message: str
    add: dict[str, str] = field(default_factory=dict[str, str])
    put: dict[str, bytes] = field(default_factory=dict[str, bytes])
    swap: tuple[tuple[str, str, str], ...] = ()
    move: tuple[tuple[str, str], ...] = ()


def logo(red: int, green: int, blue: int) -> bytes:
    """A picture of 16 by 16 points in one colour."""
    rows = (b"\0" + bytes((red, green, blue)) * 16) * 16

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)
    # stored, not compressed: the same bytes with every zlib
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(rows, 0)) + part(b"IEND", b"")


CARRIERS = b"code,carrier,country\r\nDHL,DHL Paket,DE\r\nCOL,Colissimo,FR\r\nPNL,PostNL,NL\r\nRMG,Royal Mail,GB\r\n"

_SCHEMA = """\
CREATE TABLE customers (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, country TEXT NOT NULL);
CREATE TABLE products (
  id INTEGER PRIMARY KEY, sku TEXT NOT NULL UNIQUE, name TEXT NOT NULL, price_cents INTEGER NOT NULL, stock INTEGER NOT NULL);
CREATE TABLE orders (
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id),
  status TEXT NOT NULL, total_cents INTEGER NOT NULL, placed_at TEXT NOT NULL);
CREATE TABLE order_lines (
  id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES orders (id),
  product_id INTEGER NOT NULL REFERENCES products (id), quantity INTEGER NOT NULL, price_cents INTEGER NOT NULL);
"""
_ORDERS = '''\
"""Orders: placed by customers, paid, shipped, delivered."""

from dataclasses import dataclass

from .db import Database


@dataclass
class Line:
    product_id: int
    quantity: int
    price_cents: int


@dataclass
class Order:
    id: int
    customer_id: int
    status: str
    lines: list[Line]

    @property
    def total_cents(self) -> int:
        return sum(line.quantity * line.price_cents for line in self.lines)
'''
_PAYMENTS = '''\
"""Payments: the money for an order is taken once."""

import logging
import uuid
from dataclasses import dataclass

from .gateway import ChargeRequest, Gateway
from .orders import Order

log = logging.getLogger(__name__)

_TIMEOUT = 5.0


class PaymentRefused(Exception):
    """The bank said no."""


@dataclass
class Payment:
    order_id: int
    method: str
    amount_cents: int
    status: str


def charge(order: Order, card_token: str, gateway: Gateway) -> Payment:
    """Takes the money for *order*. The gateway takes it once per key, however often a request arrives."""
    request = ChargeRequest(order.id, order.total_cents, card_token, key=str(uuid.uuid4()))
    answer = gateway.send(request, timeout=_TIMEOUT)
    if answer.status != "settled":
        raise PaymentRefused(answer.reason)
    return Payment(order.id, "card", answer.amount_cents, "settled")
'''
_GATEWAY = '''\
"""The card gateway, as far as we use it."""

from dataclasses import dataclass
from typing import Protocol


class GatewayTimeout(Exception):
    """No answer in time: the charge may have happened, or not."""


@dataclass(frozen=True)
class ChargeRequest:
    order_id: int
    amount_cents: int
    card_token: str
    key: str
    """A request with a key that the gateway has seen is answered again, and takes no money."""


@dataclass(frozen=True)
class Answer:
    status: str
    amount_cents: int
    reason: str = ""


class Gateway(Protocol):
    def send(self, request: ChargeRequest, timeout: float) -> Answer: ...
'''
_CHECKOUT = '''\
"""Checkout: from a basket to a paid order."""

from .db import Database
from .gateway import Gateway
from .orders import Line, Order, place
from .payments import PaymentRefused, charge


def check_out(database: Database, customer_id: int, basket: list[Line], card_token: str, gateway: Gateway) -> Order:
    order = place(database, customer_id, basket)
    try:
        charge(order, card_token, gateway)
    except PaymentRefused:
        database.execute("UPDATE orders SET status = 'cancelled' WHERE id = ?", order.id)
        raise
    database.execute("UPDATE orders SET status = 'paid' WHERE id = ?", order.id)
    return order
'''
_LABELS = '''\
"""Shipping labels."""

from .orders import Order

_WIDTH = 38


def label(order: Order, name: str, street: str, city: str, carrier: str) -> str:
    """What is printed on the parcel."""
    rows = [f"{carrier:<6}{order.id:>12}", name, street, city]
    return "\\n".join(row[:_WIDTH] for row in rows)


def is_printable(order: Order) -> bool:
    return order.status == "paid"
'''
_CATALOG = '''\
"""The catalog: what can be bought, and for how much."""

from dataclasses import dataclass

from .db import Database


@dataclass(frozen=True)
class Product:
    id: int
    sku: str
    name: str
    price_cents: int
    stock: int


def find_product(database: Database, sku: str) -> Product | None:
    row = database.row("SELECT id, sku, name, price_cents, stock FROM products WHERE sku = ?", sku)
    return Product(*row) if row else None
'''
_DB = '''\
"""The shop's database."""

import sqlite3
from typing import Any


class Database:
    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path)

    def execute(self, sql: str, *values: object) -> int:
        return self._connection.execute(sql, values).lastrowid or 0

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        return self._connection.execute(sql, values).fetchone()
'''
_PLACE = '''

def place(database: Database, customer_id: int, lines: list[Line]) -> Order:
    """Stores a new order. Its prices are those of now, whatever the catalog says later."""
    order = Order(0, customer_id, "new", lines)
    order.id = database.execute(
        "INSERT INTO orders (customer_id, status, total_cents, placed_at) VALUES (?, 'new', ?, datetime())",
        customer_id,
        order.total_cents,
    )
    for line in lines:
        database.execute(
            "INSERT INTO order_lines (order_id, product_id, quantity, price_cents) VALUES (?, ?, ?, ?)",
            order.id,
            line.product_id,
            line.quantity,
            line.price_cents,
        )
    return order
'''
_ORDERS_OF = '''

def orders_of(database: Database, customer_id: int, page: int = 1, size: int = 20) -> list[tuple[int, str, int]]:
    """Number, status and total of a customer's orders, the newest first."""
    sql = "SELECT id, status, total_cents FROM orders WHERE customer_id = ? ORDER BY id DESC LIMIT ? OFFSET ?"
    return database.rows(sql, customer_id, size, (page - 1) * size)
'''
_REFUNDS = '''\
"""Refunds: money that goes back."""

from .db import Database

REASONS = ("changed my mind", "arrived damaged", "arrived late", "wrong item")


def refund(database: Database, payment_id: int, amount_cents: int, reason: str) -> int:
    if reason not in REASONS:
        raise ValueError(f"unknown reason {reason!r}")
    return database.execute(
        "INSERT INTO refunds (payment_id, amount_cents, reason, refunded_at) VALUES (?, ?, ?, datetime())",
        payment_id,
        amount_cents,
        reason,
    )
'''
_REFUNDED = """

def refunded_cents(database: Database, payment_id: int) -> int:
    row = database.row("SELECT sum(amount_cents) FROM refunds WHERE payment_id = ?", payment_id)
    return (row[0] if row else None) or 0
"""
_MAILS = '''\
"""Mails: one file per kind and language, with {placeholders}."""

from pathlib import Path

_FOLDER = Path(__file__).parent


def render(kind: str, language: str, values: dict[str, str]) -> str:
    file = _FOLDER / f"{kind}.{language}.txt"
    if not file.exists():
        file = _FOLDER / f"{kind}.en.txt"
    return file.read_text(encoding="utf-8").format(**values)
'''
_TICKETS = '''\
"""Support tickets."""

from .db import Database


def open_ticket(database: Database, customer_id: int, subject: str, body: str) -> int:
    return database.execute(
        "INSERT INTO support_tickets (customer_id, subject, body, priority, status, opened_at) "
        "VALUES (?, ?, ?, 'normal', 'open', datetime())",
        customer_id,
        subject,
        body,
    )
'''
_LOW_STOCK = """

def low_stock(database: Database, below: int = 5) -> list[Product]:
    rows = database.rows("SELECT id, sku, name, price_cents, stock FROM products WHERE stock < ? ORDER BY stock", below)
    return [Product(*row) for row in rows]
"""
_TEST_ORDERS = """\
from shop.orders import Line, Order


def test_total_is_the_sum_of_the_lines():
    order = Order(1, 7, "new", [Line(1, 2, 490), Line(2, 1, 2190)])

    assert order.total_cents == 3170
"""
_TEST_PAYMENTS = """\
import pytest

from shop.gateway import Answer
from shop.orders import Line, Order
from shop.payments import PaymentRefused, charge


class Bank:
    def __init__(self, status):
        self.status = status

    def send(self, request, timeout):
        return Answer(self.status, request.amount_cents, "no funds")


def test_a_settled_charge_is_a_payment():
    payment = charge(Order(1, 7, "new", [Line(1, 1, 490)]), "tok", Bank("settled"))

    assert payment.amount_cents == 490


def test_a_refused_charge_is_an_error():
    with pytest.raises(PaymentRefused):
        charge(Order(1, 7, "new", [Line(1, 1, 490)]), "tok", Bank("refused"))
"""
_TEST_MAILS = """\
from pathlib import Path

import pytest

from shop.mails import render

FILES = sorted(Path("shop/mails").glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_mail_can_be_filled_in(file):
    kind, language, _ = file.name.split(".")

    assert "1042" in render(kind, language, {"name": "Ada", "order": "1042"})
"""
_RUNBOOK = """\
# Runbook

The shop runs as three services: `orders`, `checkout` and `payments`.

## Payments are slow

Look at the gateway first: its 99th percentile is about 3 s on a good day.
A charge that timed out may have happened. Never send it again by hand.
"""


def _update(ago: int, package: str, before: str, after: str) -> Step:
    swap = (("pyproject.toml", f'"{package}=={before}"', f'"{package}=={after}"'),)
    return Step(ago, UPDATES, f"Update {package} to {after}", swap=swap)


_NAMES = {
    "en": "English",
    "de": "German",
    "fr": "French",
    "nl": "Dutch",
    "es": "Spanish",
    "it": "Italian",
    "pl": "Polish",
    "sv": "Swedish",
}
_STARTED = {"en": 301, "de": 298, "fr": 284, "nl": 262, "es": 247, "it": 240, "pl": 171, "sv": 140}

_TOLD = (
    Step(
        400,
        ADA,
        "Start the shop",
        {
            "README.md": "# shop\n\nWe sell coffee, and what one needs to make it.\n",
            "pyproject.toml": '[project]\nname = "shop"\nversion = "0.1.0"\n'
            'dependencies = ["httpx==0.25.0", "pydantic==2.4.2"]\n',
            "shop/__init__.py": "",
            ".gitignore": "__pycache__/\n.pytest_cache/\n",
        },
    ),
    Step(399, ADA, "Add the first tables", {"schema.sql": _SCHEMA}),
    Step(397, ADA, "Add a thin layer over SQLite", {"shop/db.py": _DB}),
    Step(395, MATEO, "Add products", {"shop/catalog.py": _CATALOG}),
    Step(392, ADA, "Add orders", {"shop/orders.py": _ORDERS, "tests/test_orders.py": _TEST_ORDERS}),
    Step(389, ADA, "Place orders", {"shop/orders.py": _PLACE}),
    Step(383, JONAS, "Describe the card gateway", {"shop/gateway.py": _GATEWAY}),
    Step(
        381,
        JONAS,
        "Take payments by card\n\nEvery charge has a key: should a request arrive twice, the gateway takes the money once.",
        {"shop/payments.py": _PAYMENTS, "tests/test_payments.py": _TEST_PAYMENTS},
    ),
    Step(
        380,
        JONAS,
        "Add the table of payments",
        {
            "schema.sql": "CREATE TABLE payments (\n  id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES orders (id),\n"
            "  method TEXT NOT NULL, amount_cents INTEGER NOT NULL, status TEXT NOT NULL, paid_at TEXT NOT NULL);\n"
        },
    ),
    Step(374, ADA, "Check out a basket", {"shop/checkout.py": _CHECKOUT}),
    _update(371, "httpx", "0.25.0", "0.25.2"),
    Step(366, YUKI, "Print shipping labels", {"shop/labels.py": _LABELS}),
    Step(364, YUKI, "Add the codes of the carriers", put={"docs/carrier-codes.csv": CARRIERS}),
    Step(361, YUKI, "Add a logo", put={"static/logo.png": logo(111, 78, 55)}),
    Step(352, MATEO, "Index orders by day", {"schema.sql": "CREATE INDEX orders_placed_at_idx ON orders (placed_at);\n"}),
    Step(
        345,
        PRIYA,
        "Give money back",
        {
            "shop/refunds.py": _REFUNDS,
            "schema.sql": "CREATE TABLE refunds (\n  id INTEGER PRIMARY KEY,\n"
            "  payment_id INTEGER NOT NULL REFERENCES payments (id),\n"
            "  amount_cents INTEGER NOT NULL, reason TEXT NOT NULL, refunded_at TEXT NOT NULL);\n",
        },
    ),
    _update(340, "pydantic", "2.4.2", "2.5.3"),
    Step(
        333,
        JONAS,
        "Give the gateway more time\n\nIts 99th percentile is 3.1 s since it moved.",
        swap=(("shop/payments.py", "_TIMEOUT = 5.0", "_TIMEOUT = 8.0"),),
    ),
    Step(326, ADA, "List a customer's orders", {"shop/orders.py": _ORDERS_OF}),
    Step(318, PRIYA, "Write a runbook", {"docs/runbook.md": _RUNBOOK}),
    Step(310, YUKI, "Send mails", {"shop/mails/__init__.py": _MAILS}),
    Step(296, MATEO, "Test that every mail can be filled in", {"tests/test_mails.py": _TEST_MAILS}),
    _update(290, "httpx", "0.25.2", "0.26.0"),
    Step(
        279,
        PRIYA,
        "Open support tickets",
        {
            "shop/tickets.py": _TICKETS,
            "schema.sql": "CREATE TABLE support_tickets (\n  id INTEGER PRIMARY KEY,\n"
            "  customer_id INTEGER NOT NULL REFERENCES customers (id),\n"
            "  order_id INTEGER REFERENCES orders (id), subject TEXT NOT NULL, body TEXT NOT NULL, priority TEXT NOT NULL,\n"
            "  status TEXT NOT NULL, opened_at TEXT NOT NULL, closed_at TEXT);\n",
        },
    ),
    Step(270, MATEO, "Tell what is nearly sold out", {"shop/catalog.py": _LOW_STOCK}),
    Step(
        255,
        JONAS,
        "Say in the runbook who to call",
        {"docs/runbook.md": "\n## Who to call\n\nPayments: Jonas. Orders and checkout: Ada. Mails and labels: Yuki.\n"},
    ),
    _update(251, "pydantic", "2.5.3", "2.6.4"),
    Step(233, PRIYA, "Sum up refunds", {"shop/refunds.py": _REFUNDED}),
    Step(
        228, PRIYA, "Index refunds by payment", {"schema.sql": "CREATE INDEX refunds_payment_id_idx ON refunds (payment_id);\n"}
    ),
    Step(
        219,
        ADA,
        "Log refused payments",
        swap=(
            (
                "shop/payments.py",
                '    if answer.status != "settled":\n        raise',
                (
                    '    if answer.status != "settled":\n'
                    '        log.warning("order %s: payment refused: %s", order.id, answer.reason)\n        raise'
                ),
            ),
        ),
    ),
    _update(212, "httpx", "0.26.0", "0.27.0"),
    Step(204, YUKI, "Cut labels at the width of the new printer", swap=(("shop/labels.py", "_WIDTH = 38", "_WIDTH = 42"),)),
    Step(
        196,
        MATEO,
        "Keep the channel of an order",
        swap=(
            (
                "schema.sql",
                "status TEXT NOT NULL, total_cents INTEGER NOT NULL, placed_at TEXT NOT NULL);",
                "status TEXT NOT NULL, channel TEXT NOT NULL, total_cents INTEGER NOT NULL, placed_at TEXT NOT NULL);",
            ),
        ),
    ),
    Step(188, JONAS, "Index payments by order", {"schema.sql": "CREATE INDEX payments_order_id_idx ON payments (order_id);\n"}),
    _update(177, "pydantic", "2.6.4", "2.7.1"),
    Step(
        160,
        ADA,
        "Keep when an order was shipped",
        swap=(
            (
                "schema.sql",
                "channel TEXT NOT NULL, total_cents INTEGER NOT NULL, placed_at TEXT NOT NULL);",
                "channel TEXT NOT NULL, total_cents INTEGER NOT NULL, placed_at TEXT NOT NULL,\n  shipped_at TEXT);",
            ),
        ),
    ),
    Step(
        151,
        PRIYA,
        "Show the order in the subject of a ticket",
        swap=(
            ("shop/tickets.py", "customer_id: int, subject: str,", "customer_id: int, order_id: int | None, subject: str,"),
            ("shop/tickets.py", "(customer_id, subject, body,", "(customer_id, order_id, subject, body,"),
            ("shop/tickets.py", "\"VALUES (?, ?, ?, 'normal'", "\"VALUES (?, ?, ?, ?, 'normal'"),
            (
                "shop/tickets.py",
                "        customer_id,\n        subject,",
                "        customer_id,\n        order_id,\n        subject,",
            ),
        ),
    ),
    _update(133, "httpx", "0.27.0", "0.27.2"),
    Step(
        121,
        MATEO,
        "Sort what is nearly sold out by name, too",
        swap=(("shop/catalog.py", 'ORDER BY stock", below)', 'ORDER BY stock, name", below)'),),
    ),
    Step(
        108,
        JONAS,
        "Refuse to charge nothing",
        swap=(
            (
                "shop/payments.py",
                "    request = ChargeRequest(",
                (
                    "    if order.total_cents <= 0:\n"
                    '        raise ValueError(f"order {order.id} costs nothing")\n    request = ChargeRequest('
                ),
            ),
        ),
    ),
    Step(
        97,
        ADA,
        "Describe the daily revenue as a view",
        {
            "schema.sql": "CREATE VIEW daily_revenue AS\n"
            "  SELECT date(placed_at) AS day, count(*) AS orders, sum(total_cents) / 100.0 AS revenue\n"
            "  FROM orders WHERE status <> 'cancelled' GROUP BY 1;\n"
        },
    ),
    Step(
        85,
        PRIYA,
        "Index tickets by customer",
        {"schema.sql": "CREATE INDEX support_tickets_customer_id_idx ON support_tickets (customer_id);\n"},
    ),
    _update(73, "pydantic", "2.7.1", "2.9.2"),
    Step(60, YUKI, "Add Royal Mail's second service", put={"docs/carrier-codes.csv": CARRIERS + b"RM2,Royal Mail 48,GB\r\n"}),
    Step(
        47,
        JONAS,
        "Say in the runbook what a timeout means",
        swap=(
            (
                "docs/runbook.md",
                "A charge that timed out may have happened. Never send it again by hand.",
                (
                    "A charge that timed out may have happened. Sent again with the same key, it is answered again\n"
                    "and takes no money; with a new key it is a second charge."
                ),
            ),
        ),
    ),
    Step(
        34,
        MATEO,
        "Ship from two warehouses",
        {"docs/runbook.md": "\n## Warehouses\n\nRotterdam ships everything but grinders; those come from Leipzig.\n"},
    ),
    Step(
        22,
        PRIYA,
        "Take grinders back without asking\n\nA faulty batch went out; whoever has one gets the money back at once.",
        swap=(("shop/refunds.py", '"wrong item")', '"wrong item", "faulty grinder")'),),
    ),
    Step(
        15,
        ADA,
        "Note the faulty batch in the runbook",
        {
            "docs/runbook.md": "\n## Faulty grinders\n\n"
            "Electric grinders of one batch stop on the first day.\nRefund them with the reason `faulty grinder`.\n"
        },
    ),
    _update(12, "httpx", "0.27.2", "0.28.1"),
    Step(4, MATEO, "Say in the README how to run the tests", {"README.md": "\nTests: `python -m pytest`.\n"}),
    Step(1, ADA, "Say where the schema is", {"README.md": "\nThe tables are in `schema.sql`.\n"}),
)

STEPS = tuple(
    sorted(
        (
            *_TOLD,
            *(Step(_STARTED[language], YUKI, f"Add the {_NAMES[language]} mails", templates(language)) for language in LANGUAGES),
        ),
        key=lambda step: -step.ago,
    )
)
