"""Runs the router over labelled requests."""

from opsroom.router.decision import Request
from opsroom.router.router import Router

from .cases import FOLDER, CaseSet
from .report import RoutingReport, score


async def run_routing(router: Router, data: CaseSet, *, offline: bool) -> RoutingReport:
    decisions = [await router.route(Request(case.text), offline=offline) for case in data.cases]
    return score(data, decisions, offline=offline)


def load_baseline() -> RoutingReport:
    """The report on the development data that later work must not fall under."""
    return RoutingReport.model_validate_json((FOLDER / "baseline.json").read_bytes())
