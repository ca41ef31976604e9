"""What checks note about commits."""

import json

import pytest
from opsroom_code_review.providers.local.check_notes import parse_checks
from opsroom_shared.errors import NotFound

from .scratch import Scratch, provider


def note(shop: Scratch, ref: str, **words: object) -> None:
    shop.git("notes", "--ref=opsroom-checks", "append", "-m", json.dumps(words), ref)


async def test_checks_are_read_from_notes(shop: Scratch) -> None:
    """The last note of a name counts; one check is given with the end of its log."""
    note(shop, "feature", name="tests", state="running")
    note(shop, "feature", name="lint", state="passed")
    log = "".join(f"step {number}\n" for number in range(100))
    note(
        shop,
        "feature",
        name="tests",
        state="failed",
        log=log,
        annotations=[{"path": "app.py", "line": 3, "level": "error", "text": "no"}],
    )
    source = provider(shop.folder)

    every = await source.checks("feature", check=None, log_lines=80)
    one = await source.checks("feature", check="tests", log_lines=2)
    details = await source.change("feature")

    assert (every.state, [(check.name, check.state, check.log_tail) for check in every.checks]) == (
        "failed",
        [("lint", "passed", None), ("tests", "failed", None)],
    )
    assert one.checks[0].log_tail == "step 98\nstep 99"
    assert [(each.path, each.line, each.text) for each in one.checks[0].annotations] == [("app.py", 3, "no")]
    assert details.checks is not None
    assert (details.checks.state, details.checks.failed) == ("failed", 1)


async def test_a_note_that_came_later_is_seen(shop: Scratch) -> None:
    """What was read before is not held on to."""
    source = provider(shop.folder)
    before = await source.checks("feature", check=None, log_lines=1)
    note(shop, "feature", name="tests", state="passed")
    after = await source.checks("feature", check=None, log_lines=1)

    assert (before.state, before.checks) == ("unknown", [])
    assert after.state == "passed"


async def test_an_unknown_check_is_refused_with_those_that_there_are(shop: Scratch) -> None:
    """A slip is answered with the names."""
    note(shop, "feature", name="tests", state="passed")

    with pytest.raises(NotFound, match="tests"):
        await provider(shop.folder).checks("feature", check="test", log_lines=1)


@pytest.mark.parametrize(
    ("text", "names", "bad"),
    [
        ("", [], 0),
        ("free text\n\n[1]\n{}\n", [], 3),
        ('{"name": "a", "state": "odd"}\nnull', ["a"], 1),
        ("[" * 100_000, [], 1),
        ('{"name": "a", "state": "passed", "log": 7}', [], 1),
    ],
)
def test_notes_of_any_text_are_survived(text: str, names: list[str], bad: int) -> None:
    """What is no check is counted, and the rest is read."""
    checks, count = parse_checks(text, 10)

    assert [check.name for check in checks] == names
    assert [check.state for check in checks] == ["unknown"] * len(names)
    assert count == bad
