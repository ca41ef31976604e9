"""The words of the field: stems, what people say for what tools call things, and forms that speak for themselves."""

import re
from typing import Final

_EMPTY_WORDS: Final = """
a an and any are as at be been but by can could did do does for from give had has have hey how i if in into is it its just let
like me my no not of on or our out please show so some tell that the their them then there these they this to up us was we were
what when where which who why will with would you your
"""
_STOP: Final = frozenset(_EMPTY_WORDS.split())

_ENDINGS: Final = (
    ("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("ations", "at"), ("ation", "at"), ("ments", ""),
    ("ment", ""), ("ingly", ""), ("ings", ""), ("ing", ""), ("edly", ""), ("ed", ""), ("ers", ""), ("er", ""), ("es", ""),
    ("s", ""), ("e", ""),
)  # fmt: skip
"""Ending → what stands instead, the longest first."""


def tokens(text: str) -> list[str]:
    """The words of *text* in lower case without the empty ones; `snake_case` and `camelCase` come apart."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    words = re.findall(r"[^\W_]+", apart.lower().replace("'", ""))
    return [word for word in words if len(word) > 1 and word not in _STOP and not word.isdigit()]


def stem(word: str) -> str:
    """A light stem: deploys, deployed and deployment are one, and no real word is needed."""
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and not word.endswith("ss") and len(word) - len(ending) >= 3:
            short = word[: len(word) - len(ending)] + instead
            # stopped, running
            return short[:-1] if len(short) > 3 and short[-1] == short[-2] and short[-1] not in "ls" else short
    return word


def _table(rows: dict[str, str]) -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    for said, meant in rows.items():
        for word in said.split():
            known = table.get(stem(word), ())
            table[stem(word)] = (*known, *(stem(other) for other in meant.split() if stem(other) not in known))
    return table


SYNONYMS: Final = _table(
    {
        # databases
        "column columns field fields structure key keys foreign primary index indexes": "describe table columns",
        "biggest largest size exist exists contain contains stored store": "search schema tables",
        "many much count total sum average rows row revenue customers users orders list latest first top": "run query sql",
        "select sql": "run query",
        "plan scan cost": "explain query plan",
        "slow slowest expensive heavy": "explain top queries plan",
        "bloat vacuum replication lag lock locks blocked blocking blocker connections deadlock cache": "database health",
        "insert update delete fix set correct truncate drop alter backfill": "write run statement",
        # code review
        "pr prs pull merge mr revision revisions patch branch": "change changes",
        "approve accept reject lgtm block verdict": "submit review verdict",
        "comment comments discussion feedback remark remarks conversation": "threads list discussion",
        "answer respond resolve": "reply thread",
        "ci build builds tests test lint green red failing failed pipeline": "checks builds tests",
        "ticket tickets issue issues bug bugs backlog todo story": "task tasks",
        "create open file new assign close": "save create",
        "waiting pending stale queue": "find waits",
        "modify modified touch touched rewrite changed": "diff changed",
        "reviewer reviewers title description abandon draft": "edit change reviewers",
        # deployments
        "ship release roll rollout promote push upgrade bump": "deploy plan release apply",
        "revert undo previous back": "rollback",
        "version running live replica replicas pod pods container containers healthy": "status live release",
        "yesterday week last before past when ago shipped": "history since",
        "crash crashing crashed startup boot stdout stderr": "logs release",
        "progress stuck follow ongoing proceed finish": "watch deployment",
        "restart scale stop replicas": "plan deployment action",
        "register onboard spec define": "define service",
        "execute go confirm approved": "apply",
        # monitoring
        "alarm alarms alert page paged pager firing": "alerts",
        "mute quiet snooze suppress acknowledge": "silence",
        "graph chart draw picture visualise visualize curve": "plot",
        "latency p50 p95 p99 rate throughput cpu memory disk errors 5xx saturation": "metrics query",
        "requests percentile quantile traffic": "metrics query",
        "wrong broken happening state health outage down slow": "overview system",
        "spike cause caused regression incident correlate correlated before after jump dropped": "changed",
        "log stacktrace exception exceptions trace message messages grep tail": "logs search",
        "metric label labels dashboards dashboard target targets exporter scrape": "find telemetry metrics",
    }
)
"""Stem of what is said → stems of what it may mean."""

SHAPES: Final = (
    (
        "SQL statement",
        re.compile(r"\bselect\b.{1,2000}?\bfrom\b|\bwith\s+\w+\s+as\s*\(", re.IGNORECASE | re.DOTALL),
        ("run", "query", "sql"),
    ),
    (
        "SQL write",
        re.compile(r"\b(?:insert\s+into|delete\s+from|update\s+\w+\s+set|alter\s+table|drop\s+table)\b", re.IGNORECASE),
        ("run", "write"),
    ),
    (
        "PromQL expression",
        re.compile(r"\w\{[^}]{0,300}=|\[\d+[smhdw]\]|\bhistogram_quantile\b"),
        ("query", "metrics", "promql"),
    ),
    (
        "change reference",
        re.compile(r"\bD\d{1,7}\b|\b[\w.-]{1,100}/[\w.-]{1,100}[#!]\d|\b(?:PR|MR)\s?[#!]?\d", re.IGNORECASE),
        ("change",),
    ),
    ("task reference", re.compile(r"\bT\d{1,7}\b"), ("task",)),
)
"""Name of a form, how it is recognised, and the words that it stands for."""
