"""The stage of the keyword rules: certain or silent."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from opsroom.agents.definition import AgentDefinition

from .decision import Decision, Evidence, Kind, Request, StageName
from .language import looks_foreign
from .phrases import Hit
from .questions import Questions
from .reading import Reader, Reading
from .refusals import is_small_talk, redirects
from .vague import is_bare_act, is_vague
from .vocabulary import VOCABULARY, word_set
from .words import MARKS, stem

_RIVAL = 0.5
"""From this weight on, another agent's vocabulary casts doubt on a strong phrase."""
_ENOUGH = 1.2
"""Vocabulary alone decides from this weight on, spread over at least two words of one agent and none of another."""
_LONGEST = 45
"""In more words than this, a phrase is a detail of a story."""

_OPERATIONAL = frozenset(map(stem, word_set(VOCABULARY.operations.words)))
_JOINTS = VOCABULARY.joints
_SUBORDINATES = word_set(_JOINTS.subordinate)
_JOINS = word_set(_JOINTS.join)
_CAUSES = frozenset(map(stem, word_set(_JOINTS.cause)))
_CONDITIONS = word_set(_JOINTS.condition)
_IMPERATIVES = word_set(_JOINTS.imperatives)
_BREAKS = frozenset({";", ".", "\n", "?", "!", "then"})
_MOST_STEPS = 4


@dataclass
class Rules:
    """Reads the request once and asks each rule in turn; what no rule is sure of stays in the evidence."""

    agents: Mapping[str, AgentDefinition]
    name: StageName = StageName.RULES
    _reader: Reader = field(init=False)
    _questions: Questions = field(init=False)

    def __post_init__(self) -> None:
        self._reader = Reader(self.agents)
        self._questions = Questions(self.agents)

    async def decide(self, request: Request, evidence: Evidence) -> Decision | None:
        reading = self._reader.read(request.text)
        for agent, score in reading.scores().items():
            evidence.scores[agent] = max(score, evidence.scores.get(agent, 0))
        if attempts := redirects(reading.words):
            return self._refused_attempt(reading, attempts)
        if looks_foreign(reading.words.words):
            return None
        if is_small_talk(reading.words):
            declined = self._refusal(self._questions.declined(), 0.97, "small talk or an everyday topic")
            return None if _operational(reading) else declined
        return self._unnamed(reading) or self._agents_of(reading)

    def _refused_attempt(self, reading: Reading, attempts: tuple[Hit, ...]) -> Decision | None:
        """Refused when nothing else is wanted; a report or a search that quotes such words is for another stage to judge."""
        covered = {place for attempt in attempts for place in range(attempt.start, attempt.end)}
        rest = self._reader.without(reading, covered)
        return None if _operational(rest) else self._refusal(self._questions.kept(), 0.98, "an attempt to redirect the assistant")

    def _unnamed(self, reading: Reading) -> Decision | None:
        """Nothing is named: ask at once, no model would know more."""
        if reading.literals:
            return None
        if is_bare_act(reading.words):
            reason = "a verb with nothing named"
        elif not reading.strong() and all(reading.weight(agent) < _RIVAL for agent in self.agents) and is_vague(reading.words):
            reason = "nothing named"
        elif len(reading.words.spoken()) == 1:
            reason = "a single word"
        else:
            return None
        question = self._questions.which(reading.scores())
        return Decision(decision=Kind.CLARIFY, stage=self.name, confidence=0.95, question=question, reason=reason)

    def _agents_of(self, reading: Reading) -> Decision | None:
        strong = reading.strong()
        if len(strong) > 1:
            return self._plan(reading) or self._headed(reading)
        if not strong:
            return self._by_vocabulary(reading)
        (agent,) = strong
        heads = any(hit.head for hit in reading.hits)
        if len(reading.words) > _LONGEST and not heads:
            return None
        if not heads and any(reading.weight(other) >= _RIVAL for other in self.agents if other != agent):
            return None
        if self._goes_on(reading, agent):
            return None
        return self._route(agent, 0.98 if heads or reading.literals else 0.97, _because(reading, agent))

    def _headed(self, reading: Reading) -> Decision | None:
        """The verb at the beginning says who acts; words of other agents behind "that", "about", "for" only say on what."""
        heads = {hit.agent: hit for hit in sorted(reading.hits, key=lambda hit: hit.end) if hit.head}
        if len(heads) != 1:
            return None
        ((agent, head),) = heads.items()
        words = reading.words.words
        if any(words[start] in _IMPERATIVES for start, _ in _steps(words)[1:]):
            return None
        others = [hit.start for hit in reading.hits if hit.agent != agent]
        others += [place for owner, place in reading.literals if owner != agent]
        for start in others:
            if start < head.end:
                continue  # inside the gap of the head phrase it qualifies the object: "review the rollout script change"
            if _SUBORDINATES.isdisjoint(words[head.start : start]) and words[head.end - 1] not in _CONDITIONS:
                return None
            if any(word in _JOINS or word in _BREAKS or stem(word) in _CAUSES for word in words[head.end : start]):
                return None
        return self._route(agent, 0.97, f"it begins with {_said(reading, head)!r}")

    def _plan(self, reading: Reading) -> Decision | None:
        """A plain sequence, each step sure on its own: "review D1 and then deploy it to staging"."""
        if not _CONDITIONS.isdisjoint(reading.words.words):
            return None
        agents: list[str] = []
        steps = [self._reader.part(reading, start, end) for start, end in _steps(reading.words.words)]
        if not 1 < len(steps) <= _MOST_STEPS:
            return None
        for step in steps:
            strong = step.strong()
            if len(strong) != 1:
                return None
            (agent,) = strong
            if any(step.weight(other) >= _RIVAL for other in self.agents if other != agent):
                return None
            if agent not in agents:
                agents.append(agent)
        if len(agents) < 2:
            return None
        reason = "steps joined by then or and"
        return Decision(decision=Kind.PLAN, agents=tuple(agents), stage=self.name, confidence=0.95, reason=reason)

    def _goes_on(self, reading: Reading, agent: str) -> bool:
        """Whether a further step asks for something in which nothing points to *agent*."""
        for start, end in _steps(reading.words.words)[1:]:
            step = self._reader.part(reading, start, end)
            asked = step.words.words[step.words.head :]
            if len(asked) > 2 and asked[0] in _IMPERATIVES and not step.weight(agent) and agent not in step.strong():
                return True
        return False

    def _by_vocabulary(self, reading: Reading) -> Decision | None:
        weights = {agent: reading.weight(agent) for agent in self.agents if reading.weight(agent)}
        if len(weights) != 1 or len(reading.words) > _LONGEST:
            return None
        ((agent, weight),) = weights.items()
        if weight < _ENOUGH or len(reading.vocabulary[agent]) < 2 or self._goes_on(reading, agent):
            return None
        return self._route(agent, 0.95, _because(reading, agent))

    def _route(self, agent: str, confidence: float, reason: str) -> Decision:
        return Decision(decision=Kind.ROUTE, agents=(agent,), stage=self.name, confidence=confidence, reason=reason)

    def _refusal(self, question: str, confidence: float, reason: str) -> Decision:
        return Decision(decision=Kind.REFUSE, stage=self.name, confidence=confidence, question=question, reason=reason)


def _operational(reading: Reading) -> bool:
    return not reading.empty() or not _OPERATIONAL.isdisjoint(reading.words.stems)


def _because(reading: Reading, agent: str) -> str:
    if any(owner == agent for owner, _ in reading.literals):
        return "an id or a statement"
    said = next((_said(reading, hit) for hit in reading.hits if hit.agent == agent), None)
    return f"it says {said!r}" if said else "the words " + ", ".join(reading.vocabulary[agent])


def _said(reading: Reading, hit: Hit) -> str:
    return " ".join(reading.words.words[place] for place in hit.at)


def _steps(words: tuple[str, ...]) -> list[tuple[int, int]]:
    """Start and end of each step: a step ends at "then", at a sentence, and at an "and" or a comma before an imperative."""
    steps: list[tuple[int, int]] = []
    start = 0
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else ""
        if word in _BREAKS or (word in ("and", ",") and following in _IMPERATIVES):
            steps.append((start, at))
            start = at + 1
    steps.append((start, len(words)))
    fillers = {*MARKS, "and", "then", "also", "after", "please", "that"}
    return [(begin, end) for begin, end in steps if any(word not in fillers for word in words[begin:end])]
