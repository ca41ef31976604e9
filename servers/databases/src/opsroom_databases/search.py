"""Finds tables and views by words or a glob, the best first. Pure."""

import re
from collections.abc import Sequence
from fnmatch import translate

from .models import Match
from .names import did_you_mean
from .providers import Relation

MAX_FOUND = 100
_MAX_COLUMNS_SHOWN = 30
_MAX_COMMENT = 200
_WORD = re.compile(r"[^\W_]+")


def find(relations: Sequence[Relation], query: str) -> tuple[list[Match], str | None]:
    """Up to MAX_FOUND matches for *query*, and a sentence where there are none or more. `*` lists everything, biggest first."""
    wanted = query.strip()
    if wanted in ("", "*"):
        scored = [(0.0, relation, "") for relation in relations if relation.kind != "function"]
    else:
        scored = [(score, relation, matched) for relation in relations for score, matched in [_score(relation, wanted)] if score]
    scored.sort(key=lambda each: (-each[0], -(each[1].size_bytes or 0), -(each[1].rows or 0), each[1].name))
    if not scored:
        names = [name for relation in relations for name in (relation.name, *(column.name for column in relation.columns))]
        return [], f"Nothing matches.{did_you_mean(wanted, names)} The query * lists all {len(relations)} tables and views."
    hint = (
        f"{len(scored) - MAX_FOUND} more match; use a longer word or a glob such as order*" if len(scored) > MAX_FOUND else None
    )
    return [_match(relation, matched) for _, relation, matched in scored[:MAX_FOUND]], hint


def _match(relation: Relation, matched: str) -> Match:
    return Match(
        name=relation.name,
        kind=relation.kind,
        rows=relation.rows,
        rows_are=relation.rows_are,
        size_bytes=relation.size_bytes,
        matched=matched,
    )


def _score(relation: Relation, wanted: str) -> tuple[float, str]:
    """How well *relation* fits, 0 for not at all, and what of it matched."""
    if any(mark in wanted for mark in "*?["):
        fits = re.compile(translate(wanted.lower())).match
        by_name = 10.0 if fits(relation.name.lower()) else 0.0
        columns = [f"{column.name} {column.type}".rstrip() for column in relation.columns if fits(column.name.lower())]
        indexes = [index for index in relation.indexes if fits(index.split(" ")[0].lower())]
    else:
        terms = _stems(wanted)
        by_name = _overlap(terms, relation.name) * 10
        columns = [f"{column.name} {column.type}".rstrip() for column in relation.columns if _overlap(terms, column.name)]
        indexes = [index for index in relation.indexes if _overlap(terms, index)]
        by_name += _overlap(terms, relation.comment or "") * 3
    score = by_name + min(len(columns), 3) * 2 + min(len(indexes), 2) * 0.5
    if by_name and not columns:
        columns = [f"{column.name} {column.type}".rstrip() for column in relation.columns]
    shown = [*columns[:_MAX_COLUMNS_SHOWN], *(f"index {index}" for index in indexes[:5])]
    if relation.comment and score:
        shown.insert(0, relation.comment[:_MAX_COMMENT])
    more = len(columns) - _MAX_COLUMNS_SHOWN
    return score, "; ".join(shown) + (f"; and {more} more columns" if more > 0 else "") if score else ""


def _stems(words: str) -> set[str]:
    """The words of *words*, without a plural s: `order lines` finds order_lines and order_line."""
    found = {word.lower() for word in _WORD.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", words))}
    return {word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in found}


def _overlap(terms: set[str], name: str) -> float:
    """The share of *terms* in *name*, whole words before parts of words, and half more where they are all of it."""
    words = _stems(name)
    hits = sum(1.0 if term in words else 0.6 if len(term) > 2 and any(term in word for word in words) else 0.0 for term in terms)
    return hits / max(1, len(terms)) + (0.5 if terms == words else 0.0)
