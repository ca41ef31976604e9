"""The words of the field: stems, what people say for what tools call things, and forms that speak for themselves."""

import re
from functools import lru_cache
from typing import Final, TypeAlias

_EMPTY_WORDS: Final = """
a an and any are as at be been but by can could did do does for from give had has have hey how i if in into is it its just let
like me my no not of on or our out please show so some tell that the their them then there these they this to up us was we were
what when where which who will with would you your
"""
_STOP: Final = frozenset(_EMPTY_WORDS.split())

_ENDINGS: Final = (
    ("ies", "y"), ("ied", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("ations", "at"), ("ation", "at"),
    ("ments", ""), ("ment", ""), ("ingly", ""), ("ings", ""), ("ing", ""), ("edly", ""), ("ed", ""), ("ers", ""), ("er", ""),
    ("es", ""), ("s", ""), ("e", ""),
)  # fmt: skip
"""Ending → what stands instead, the longest first."""


def tokens(text: str, *, keep_empty: bool = False) -> list[str]:
    """The words of *text* in lower case, without the empty ones unless asked; `snake_case` and `camelCase` come apart."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    words = re.findall(r"[^\W_]+", apart.lower().replace("'", ""))
    return [word for word in words if len(word) > 1 and (keep_empty or word not in _STOP) and not word.isdigit()]


@lru_cache(maxsize=4_096)
def stem(word: str) -> str:
    """A light stem: deploys, deployed and deployment are one, and no real word is needed."""
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and not word.endswith("ss") and len(word) - len(ending) >= 3:
            short = word[: len(word) - len(ending)] + instead
            # stopped, running
            return short[:-1] if len(short) > 3 and short[-1] == short[-2] and short[-1] not in "ls" else short
    return word


_POLITE: Final = re.compile(
    r"^(?:please|hey|hi|so|ok|and|now|could|can|would|will|you|we|i|need|want|to|just|kindly|,|\s)+\b", re.IGNORECASE
)
_ASKS: Final = re.compile(
    r"(?:what|whats|which|who|whom|whose|when|where|why|how|is|are|was|were|do|does|did|has|have|had|should"
    r"|any|anything|anyone|anybody|show|list|describe|explain|find|search|compare|plot|graph|draw|chart|count"
    r"|summari[sz]e|look|check|read|see|(?:give|tell|get) me)\b",
    re.IGNORECASE,
)


def is_question(text: str) -> bool:
    """Whether *text* asks to be told something; it may ask for a change where it does not."""
    clauses = [clause.strip() for clause in re.split(r"[,.;:?!\n]\s", text)]
    return any(_ASKS.match(clause) or _ASKS.match(_POLITE.sub("", clause)) for clause in clauses)


Phrase: TypeAlias = tuple[str, ...]
"""Stems that a tool must have all of."""


def phrases(text: str) -> tuple[Phrase, ...]:
    """`run query | explain query` as phrases of stems."""
    return tuple(tuple(stem(word) for word in part.split()) for part in text.split("|"))


def _synonyms(rows: dict[str, str]) -> dict[str, tuple[Phrase, ...]]:
    table: dict[str, tuple[Phrase, ...]] = {}
    for said, meant in rows.items():
        for word in said.split():
            known = table.get(stem(word), ())
            table[stem(word)] = (*known, *(phrase for phrase in phrases(meant) if phrase not in known))
    return table


SYNONYMS: Final = _synonyms(
    {
        # databases
        "db postgres postgresql mysql mariadb sqlite": "database | database health",
        "biggest largest size exist store stored keep kept record recorded track tracked contain anywhere": "search schema",
        "column field nullable type key foreign primary index indexes indices structure constraint ddl": "describe table",
        "many much count total sum average avg mean median number rows revenue newest oldest duplicate distinct per": "run query",
        "select sql": "run query | explain query",
        "plan scan cost join seek sort index": "explain query",
        "slow slower slowest forever expensive heavy takes": "explain query | top queries",
        "busy hammer hammering hog hogging eat eating load overload": "top queries | database health",
        "lock locked block deadlock idle transaction connection pool client": "database health",
        "replica replication lag behind vacuum autovacuum bloat dead cache wraparound": "database health",
        "insert update delete remove correct fix set rename misspelled typo": "run write",
        "drop truncate restore backfill mark cancel": "run write",
        # code review
        "pr mr pull merge revision patch commit branch": "get change | find changes | read diff",
        "review": "get change | read diff | list threads",
        "approve accept reject lgtm block verdict objection": "submit review",
        "comment feedback discussion remark conversation question concern note answer answered": "list threads",
        "reply answer respond resolve resolved": "reply thread",
        "ci build test lint green red failing failed unhappy pipeline": "get checks",
        "ticket issue bug backlog todo story board sprint": "find tasks | save task",
        "file create raise close assign reopen priority": "save task",
        "waiting pending plate queue assigned mine touched working worked edited modified wrote author folder": "find changes",
        "title description abandon draft reviewer rework retitle reassign drop replace swap instead": "edit change",
        "function class method whole lines source": "read file",
        "version different difference since": "read diff",
        # deployments
        "ship release roll rollout promote push upgrade bump put bring": "plan deployment | apply deployment",
        "deliver update ramp instance deploy restart bounce scale stop start replicas": "plan deployment | apply deployment",
        "ahead execute confirm approved signed": "apply deployment | watch deployment",
        "revert undo previous old back abort": "rollback deployment",
        "version running runs live current healthy pod container replica lock drift busy": "deployment status",
        "yesterday week last before past ago shipped first end ended gate outcome": "deployment history",
        "monday tuesday wednesday thursday friday saturday sunday": "deployment history",
        "crash crashed died dying startup boot stdout stderr print printed output say why reject fail": "release logs",
        "progress stuck follow ongoing finish finished through wait until": "watch deployment",
        "register onboard new add definition spec memory limit port image env variable var setting config": "define service",
        # monitoring
        "alarm pager page paged woken fire firing call incident": "list alerts",
        "mute unmute quiet snooze suppress acknowledge maintenance silence": "silence alert | list alerts",
        "graph chart draw picture visualise visualize curve": "plot metrics",
        "latency p50 p90 p95 p99 rate throughput cpu memory disk errors 5xx saturation": "query metrics",
        "requests percentile quantile traffic usage utilisation utilization full growth": "query metrics",
        "wrong broken happening outage down slow crawl ok alright fire": "system overview | list alerts",
        "health healthy shift handover": "system overview | list alerts",
        "spike jump jumped cause caused regression incident correlate moved worse dropped deploy why": "what changed",
        "log stack trace exception message grep tail output printed mention mentioning saying line": "search logs",
        "label dashboard exporter target scrape measure instrumented": "find telemetry",
    }
)
"""Stem of what is said → what it may mean."""

SHAPES: Final = (
    (
        "SQL statement",
        re.compile(r"\bselect\b.{1,2000}?\bfrom\b|\bwith\s+\w+\s+as\s*\(", re.IGNORECASE | re.DOTALL),
        phrases("run query | explain query | sql"),
    ),
    (
        "SQL write",
        re.compile(r"\b(?:insert\s+into|delete\s+from|update\s+\w+\s+set|alter\s+table|drop\s+table)\b", re.IGNORECASE),
        phrases("run write"),
    ),
    (
        "PromQL expression",
        re.compile(r"\w\{[^}]{0,300}=|\[\d+[smhdw]\]|\bhistogram_quantile\b"),
        phrases("query metrics | plot metrics | promql"),
    ),
    (
        "change reference",
        re.compile(r"\bD\d{1,7}\b|\b[\w.-]{1,100}/[\w.-]{1,100}[#!]\d|(?:\b(?:PR|MR)\s?|\B)[#!]\d", re.IGNORECASE),
        phrases("get change | read diff"),
    ),
    ("task reference", re.compile(r"\bT\d{1,7}\b"), phrases("find tasks | save task")),
    (
        "file",
        re.compile(r"\b\w[\w/-]*\.(?:py|go|rs|js|tsx?|java|rb|c|h|cpp|sql|toml|ya?ml|md)\b"),
        phrases("read file | read diff"),
    ),
)
"""Name of a form, how it is recognised, and what it may mean."""
