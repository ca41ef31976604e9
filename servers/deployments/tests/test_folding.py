"""Log lines as they are shown."""

from opsroom_deployments.folding import folded
from opsroom_deployments.platforms import LogRow
from opsroom_shared.redact import hide


def rows(*texts: str) -> list[LogRow]:
    return [LogRow(None, text) for text in texts]


def test_runs_of_likes_are_told_once() -> None:
    """Lines in a row that differ in times, numbers and ids alone are one with a count; what comes between ends the run."""
    lines, matched = folded(
        rows(
            "2026-11-24T10:00:00Z retry 1 of order 4711",
            "2026-11-24T10:00:01.250Z retry 2 of order 4712",
            "ok",
            "2026-11-24T10:00:02Z retry 3 of order 9",
        ),
        None,
    )

    assert [(line.text, line.count) for line in lines] == [
        ("2026-11-24T10:00:00Z retry 1 of order 4711", 2),
        ("ok", 1),
        ("2026-11-24T10:00:02Z retry 3 of order 9", 1),
    ]
    assert matched == 4


def test_grep_ignores_case() -> None:
    """Only lines with the text are shown and counted."""
    lines, matched = folded(rows("ERROR one", "fine", "error two"), "Error")

    assert ([line.text for line in lines], matched) == (["ERROR one", "error two"], 2)


def test_secrets_are_neither_shown_nor_found() -> None:
    """A secret that a program prints is masked before anything else: not even whether it is there can be asked for."""
    hide("tulip-meadow-77")
    lines, _ = folded(rows("connecting with tulip-meadow-77", "password=swordfish"), None)
    _, matched = folded(rows("connecting with tulip-meadow-77"), "tulip")

    assert [line.text for line in lines] == ["connecting with ***", "password=***"]
    assert matched == 0


def test_lines_are_harmless_and_bounded() -> None:
    """Terminal sequences go, and a long line is cut with a mark of how much is missing."""
    lines, _ = folded(rows("\x1b[31mred\x1b[0m \u202ehidden", "x" * 5_000), None)

    assert lines[0].text == "red hidden"
    assert len(lines[1].text) == 1_000
    assert lines[1].text.endswith("characters)")
