"""Scores decisions against labels. Pure: the same cases and decisions give the same report."""

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from opsroom.router.decision import Decision, Kind, StageName

from .cases import Case, CaseSet

_LOCAL = (StageName.RULES, StageName.GATE)


class Verdict(StrEnum):
    RIGHT = "right"
    ASKED = "asked"
    """A question where an answer was wanted: no harm done, but no help either."""
    WRONG = "wrong"
    DEFERRED = "deferred"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Answer(_Frozen):
    id: str
    want: str
    got: str
    stage: StageName
    verdict: Verdict


class StageScore(_Frozen):
    """`coverage`: the share of all requests that the stage decided. `precision`: the share of those that were right."""

    decided: int
    coverage: float
    precision: float | None


class TierScore(_Frozen):
    requests: int
    coverage: float
    precision: float | None
    """Of what was routed."""


class WrongNone(_Frozen):
    """Requests that no agent should get, and how many of them went to one."""

    requests: int
    routed: int
    share: float


class RoutingReport(_Frozen):
    data: str
    digest: str
    offline: bool
    requests: int
    accuracy: float
    """Right over all requests; a deferred one is not right."""
    decided: float
    """The share that was not deferred."""
    wrong: float
    """The share of all requests that was decided wrongly."""
    stages: dict[str, StageScore]
    coverage: float
    """Of the requests for one agent: the share that was routed or planned."""
    precision: float | None
    """Of those: the share that went to the right agent."""
    tiers: dict[str, TierScore]
    must_clarify: WrongNone
    out_of_scope: WrongNone
    confusion: dict[str, dict[str, int]]
    """Wanted → got → requests."""
    local_p50_ms: float | None
    local_p99_ms: float | None
    answers: tuple[Answer, ...]


def verdict(case: Case, decision: Decision) -> Verdict:
    kind = decision.decision
    if kind is Kind.DEFER:
        return Verdict.DEFERRED
    if case.want == "clarify":
        return Verdict.RIGHT if kind is Kind.CLARIFY else Verdict.WRONG
    if kind is Kind.CLARIFY:
        return Verdict.ASKED
    if case.want == "out_of_scope":
        right = kind is Kind.REFUSE
    elif case.want == "multi":
        right = kind is Kind.PLAN and set(decision.agents) == set(case.agents)
    else:
        right = kind is Kind.ROUTE and decision.agents == case.agents
    return Verdict.RIGHT if right else Verdict.WRONG


def score(data: CaseSet, decisions: Sequence[Decision], *, offline: bool) -> RoutingReport:
    pairs = list(zip(data.cases, decisions, strict=True))
    answers = tuple(_answer(case, decision) for case, decision in pairs)
    verdicts = Counter(answer.verdict for answer in answers)
    single = [answer for (case, _), answer in zip(pairs, answers, strict=True) if case.want == "single"]
    times = sorted(decision.elapsed_ms for decision in decisions if decision.stage in _LOCAL)
    tiers = sorted({case.tier for case in data.cases if case.tier and case.want == "single"})
    return RoutingReport(
        data=data.name,
        digest=data.digest,
        offline=offline,
        requests=len(pairs),
        accuracy=_share(verdicts[Verdict.RIGHT], len(pairs)),
        decided=_share(len(pairs) - verdicts[Verdict.DEFERRED], len(pairs)),
        wrong=_share(verdicts[Verdict.WRONG], len(pairs)),
        stages={stage.value: _stage(answers, stage) for stage in StageName if any(answer.stage is stage for answer in answers)},
        coverage=_share(len(_routed(single)), len(single)),
        precision=_precision(_routed(single)),
        tiers={
            tier: _tier([answer for case, answer in zip(data.cases, answers, strict=True) if case.tier == tier]) for tier in tiers
        },
        must_clarify=_wrong_none(pairs, "clarify"),
        out_of_scope=_wrong_none(pairs, "out_of_scope"),
        confusion=_confusion(answers),
        local_p50_ms=_quantile(times, 0.5),
        local_p99_ms=_quantile(times, 0.99),
        answers=answers,
    )


def changes(before: RoutingReport, after: RoutingReport) -> tuple[str, ...]:
    """One line for each request whose answer differs, the worse ones first."""
    old = {answer.id: answer for answer in before.answers}
    rank = {Verdict.WRONG: 0, Verdict.ASKED: 1, Verdict.DEFERRED: 2, Verdict.RIGHT: 3}
    changed = [
        (rank[new.verdict] - rank[old[new.id].verdict], f"{new.id}: wants {new.want}: {_told(old[new.id])} → {_told(new)}")
        for new in after.answers
        if new.id in old and (new.got, new.verdict) != (old[new.id].got, old[new.id].verdict)
    ]
    return tuple(line for _, line in sorted(changed))


def regressions(before: RoutingReport, after: RoutingReport) -> tuple[str, ...]:
    """Where *after* is worse than *before*: accuracy, precision, requests for nobody that went to an agent."""
    figures = (
        ("accuracy", before.accuracy, after.accuracy, 1),
        ("in-scope precision", before.precision or 0, after.precision or 0, 1),
        ("decided wrongly", before.wrong, after.wrong, -1),
        ("must-clarify requests routed", before.must_clarify.routed, after.must_clarify.routed, -1),
        ("out-of-scope requests routed", before.out_of_scope.routed, after.out_of_scope.routed, -1),
    )
    return tuple(f"{name}: {new:g}, was {old:g}" for name, old, new, sign in figures if (new - old) * sign < 0)


def _answer(case: Case, decision: Decision) -> Answer:
    got = "+".join(decision.agents) if decision.decision in (Kind.ROUTE, Kind.PLAN) else decision.decision.value
    return Answer(id=case.id, want=case.expected, got=got, stage=decision.stage, verdict=verdict(case, decision))


def _stage(answers: Iterable[Answer], stage: StageName) -> StageScore:
    counted = list(answers)
    decided = [answer for answer in counted if answer.stage is stage and answer.verdict is not Verdict.DEFERRED]
    return StageScore(decided=len(decided), coverage=_share(len(decided), len(counted)), precision=_precision(decided))


def _tier(answers: Sequence[Answer]) -> TierScore:
    routed = _routed(answers)
    return TierScore(requests=len(answers), coverage=_share(len(routed), len(answers)), precision=_precision(routed))


def _routed(answers: Iterable[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.got not in (Kind.CLARIFY.value, Kind.REFUSE.value, Kind.DEFER.value)]


def _precision(answers: Sequence[Answer]) -> float | None:
    return _share(sum(answer.verdict is Verdict.RIGHT for answer in answers), len(answers)) if answers else None


def _wrong_none(pairs: Iterable[tuple[Case, Decision]], want: str) -> WrongNone:
    decisions = [decision for case, decision in pairs if case.want == want]
    routed = sum(decision.decision in (Kind.ROUTE, Kind.PLAN) for decision in decisions)
    return WrongNone(requests=len(decisions), routed=routed, share=_share(routed, len(decisions)))


def _confusion(answers: Iterable[Answer]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for answer in sorted(answers, key=lambda answer: (answer.want, answer.got)):
        row = table.setdefault(answer.want, {})
        row[answer.got] = row.get(answer.got, 0) + 1
    return table


def _told(answer: Answer) -> str:
    return f"{answer.got} ({answer.verdict})"


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None
