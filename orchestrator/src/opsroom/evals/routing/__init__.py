"""Does a request reach the right agent, or the right question? The router's decisions against labelled requests."""

from .cases import DEV, TRAIN, Case, CaseSet, load_cases
from .report import Answer, RoutingReport, Verdict, changes, regressions, score, verdict
from .run import load_baseline, run_routing

__all__ = [
    "DEV",
    "TRAIN",
    "Answer",
    "Case",
    "CaseSet",
    "RoutingReport",
    "Verdict",
    "changes",
    "load_baseline",
    "load_cases",
    "regressions",
    "run_routing",
    "score",
    "verdict",
]
