"""A file with the changes that a diff makes to it."""

from ...diffs import FileDiff


def applied(before: str, file: FileDiff) -> str | None:
    """*before* with the changes of *file*; None where any line of them does not fit."""
    lines = before.split("\n")
    last = lines.pop()
    known = [(text, True) for text in lines] + ([(last, False)] if last else [])
    result: list[tuple[str, bool]] = []
    at = 0
    for line in file.lines():
        if line.old is not None:
            if not at < line.old <= len(known) or known[line.old - 1][0] != line.text:
                return None
            result += known[at : line.old - 1]
            at = line.old
        elif line.new is not None:  # lines are added where their number says
            kept = line.new - 1 - len(result)
            if not 0 <= kept <= len(known) - at:
                return None
            result += known[at : at + kept]
            at += kept
        if line.sign != "-":
            result.append((line.text, line.ends))
    result += known[at:]
    return "".join(text + "\n" * ends for text, ends in result)
