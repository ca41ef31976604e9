"""What lines have in common."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opsroom_monitoring.log_patterns import MAX_IN_LEAF, MAX_SHAPES, Miner, mined
from opsroom_monitoring.models import LogLine

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def lines(*texts: str) -> list[LogLine]:
    """One a second."""
    return [LogLine(text=text, at=START + timedelta(seconds=number)) for number, text in enumerate(texts)]


def patterns(*texts: str) -> list[tuple[str, int]]:
    return [(each.pattern, each.count) for each in mined(lines(*texts))]


@pytest.mark.parametrize(
    ("texts", "pattern"),
    [
        (["took 12 ms", "took 7 ms"], "took <_> ms"),
        (["2026-11-24T12:00:00.123Z up", "2026-11-24T12:00:01.456Z up"], "<_> up"),
        (["id=4f9a01bc77de ok", "id=00aa11bb22cc ok"], "id=<_> ok"),
        (["connect to 10.0.0.1:5432 failed", "connect to 10.0.0.27:5432 failed"], "connect to <_> failed"),
        (["user=alice logged in", "user=bob logged in"], "user=<_> logged in"),
        (["worker alice took over shift", "worker bob took over shift"], "worker <_> took over shift"),
        (
            ['{"level":"info","msg":"cart paid","ms":12}', '{"level":"info","msg":"cart paid","ms":9}'],
            '{"level":"info","msg":"cart paid","ms":<_>}',
        ),
        (["GET /cart/17 HTTP/1.1 12", "GET /cart/18 HTTP/1.1 9"], "GET /cart/<_> HTTP/<_>"),
        (['{"msg":"low stock for tea","at":1}', '{"msg":"low stock for mugs","at":2}'], '{"msg":"low stock for <_>","at":<_>}'),
        (["  indented line", "indented line"], "indented line"),
        (["\x1b[31mred\x1b[0m line", "red line"], "red line"),
    ],
)
def test_what_differs_is_a_placeholder(texts: list[str], pattern: str) -> None:
    """Numbers, times, addresses, ids and values that change are one placeholder; the rest stays to be read."""
    assert patterns(*texts) == [(pattern, len(texts))]


@pytest.mark.parametrize(
    "texts",
    [
        ["ERROR payment of order 7 done", "INFO payment of order 8 done"],
        ["ts=1 level=error msg=paid done", "ts=2 level=info msg=paid done"],
        ['"GET /cart HTTP/1.1" 200 12', '"GET /cart HTTP/1.1" 500 13'],
        ["request done status=200 in 5 ms", "request done status=503 in 5 ms"],
        ["server started", "server stopped"],
        ["2026-11-24T12:00:00Z [main] 7 started", "2026-11-24T12:00:01Z [main] 8 stopped"],
    ],
)
def test_severity_status_and_verb_stay_apart(texts: list[str]) -> None:
    """What matters to whoever looks for a fault never disappears in a placeholder."""
    assert len(patterns(*texts)) == 2


def test_counts_times_and_the_newest_example() -> None:
    """A pattern says how often, from when to when, and shows its newest line."""
    (found,) = mined(lines("took 1 ms", "took 2 ms", "took 3 ms"))

    assert (found.count, found.example) == (3, "took 3 ms")
    assert (found.first, found.last) == (START, START + timedelta(seconds=2))


def test_lines_without_a_time_are_counted() -> None:
    """A line may have no time; the others of its pattern keep theirs."""
    (found,) = mined([LogLine(text="up"), LogLine(text="up", at=START)])

    assert (found.count, found.first, found.last) == (2, START, START)


def test_secrets_stay_out() -> None:
    """Neither the pattern nor its example shows a secret."""
    (found,) = mined(lines("login password=hunter22 of ann", "login password=swordfish of ann"))

    assert found.pattern == "login password=*** of ann"
    assert found.example == found.pattern


def test_frequent_patterns_come_first_and_the_rest_is_one() -> None:
    """What does not fit the answer is counted, so that the counts add up."""
    texts = ["alpha beta gamma"] * 5 + ["one two three"] * 3 + ["rot gelb blau", "eins zwei drei"]

    found = mined(lines(*texts), most=3)

    assert [(each.pattern, each.count) for each in found] == [("alpha beta gamma", 5), ("one two three", 3), ("<_>", 2)]


def test_no_lines_have_no_patterns() -> None:
    """Nothing is not a pattern."""
    assert mined([]) == []


def test_empty_lines_are_counted() -> None:
    """A line of nothing but spaces is a line."""
    assert patterns("", "   ", "up") == [("<_>", 2), ("up", 1)]


def test_long_lines_are_bounded() -> None:
    """A line of a megabyte costs and shows as much as a long one."""
    (found,) = mined(lines("word " * 200_000))

    assert len(found.pattern) <= 300
    assert len(found.example or "") <= 300


TEXT = st.text(alphabet='ab 1=:,{}"\x1b', max_size=30) | st.sampled_from(["took 1 ms", "took 2 ms", "ERROR a b c", "INFO a b d"])


@given(st.lists(TEXT, max_size=60), st.integers(1, 8))
def test_every_line_counts_once(texts: list[str], most: int) -> None:
    """The counts of the patterns are the lines, in an answer of bounded length, without doubles."""
    found = mined(lines(*texts), most)

    assert sum(each.count for each in found) == len(texts)
    assert len(found) <= most
    assert len({each.pattern for each in found}) == len(found)
    assert all(each.example is not None and each.count > 0 for each in found)


@given(st.lists(TEXT, max_size=40), st.randoms(use_true_random=False))
def test_order_plays_no_part(texts: list[str], shuffler: random.Random) -> None:
    """The same lines in another order have the same patterns, counts, times and examples."""
    given_lines = lines(*texts)
    shuffled = list(given_lines)
    shuffler.shuffle(shuffled)

    assert mined(shuffled) == mined(given_lines)


def test_work_grows_with_the_lines_and_no_faster() -> None:
    """However different lines are, each is compared with a bounded number of patterns, and repeated ones with none."""
    words = ["".join(random.Random(number).choices("abcdefghij", k=8)) for number in range(4_000)]  # noqa: S311 - no secret
    different = [LogLine(text=f"{word} {word[::-1]} {word[:4]}") for word in words]
    once, repeated = Miner(), Miner()
    for line in different:
        once.add(line)
    for line in different * 3:
        repeated.add(line)

    assert sum(each.count for each in once.patterns(50)) == 4_000
    assert once.comparisons <= len(different) * MAX_IN_LEAF
    assert sum(each.count for each in repeated.patterns(50)) == 12_000
    assert repeated.comparisons == once.comparisons


def test_number_of_shapes_is_bounded() -> None:
    """Lines of which none is like another do not fill the memory: beyond a bound they are only counted."""
    letters = "abcdefghij"
    miner = Miner()
    for number in range(MAX_SHAPES + 500):
        miner.add(LogLine(text="".join(letters[int(digit)] for digit in str(number))))

    found = miner.patterns(10)

    assert sum(each.count for each in found) == MAX_SHAPES + 500
    assert (found[-1].pattern, len(found)) == ("<_>", 10)
    assert miner.comparisons <= MAX_SHAPES * MAX_IN_LEAF
