"""The words that the issues of a project take: labels, and the columns that its boards make of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opsroom_shared.errors import InvalidInput
from opsroom_shared.outside import clean

from ...models import BoardColumn, Vocabulary
from .wire import Board, Label

STATUSES = ("opened", "closed")
PRIORITY = "priority::"
_MOST_NAMED = 30


@dataclass(frozen=True)
class Words:
    """The columns and priorities of a project. GitLab makes a label of any unknown word, so words are held against these."""

    priority_labels: tuple[str, ...]
    boards: tuple[tuple[str, tuple[str, ...]], ...]
    """The name of each board, with the labels of its columns from left to right."""

    @classmethod
    def of(cls, labels: Iterable[Label], boards: Iterable[Board]) -> "Words":
        return cls(
            tuple(label.name for label in labels if label.name.casefold().startswith(PRIORITY)),
            tuple((board.name, tuple(each.label.name for each in board.lists if each.label)) for board in boards),
        )

    @property
    def priorities(self) -> list[str]:
        """GitLab has no priorities. Many projects give them by labels such as `priority::high`."""
        return [label[len(PRIORITY) :] for label in self.priority_labels]

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(label for _, labels in self.boards for label in labels))

    def vocabulary(self) -> Vocabulary:
        return Vocabulary(statuses=list(STATUSES), priorities=self.priorities, columns=self.columns)

    def priority(self, word: str) -> str:
        """The label of the priority *word*. Raises InvalidInput with those that there are."""
        if not self.priority_labels:
            raise InvalidInput(f"GitLab has no priorities, and this project has no labels that begin with {PRIORITY}.")
        known = self.priorities
        return self.priority_labels[known.index(only(word, known, "priority"))]

    def column(self, word: str) -> str:
        return only(word, self.columns, "column")

    def beside(self, column: str) -> list[str]:
        """The other columns of the boards that have *column*: an issue that moves leaves them."""
        others = (label for _, labels in self.boards if column in labels for label in labels)
        return [label for label in dict.fromkeys(others) if label != column]

    def columns_of(self, labels: Sequence[str]) -> list[BoardColumn]:
        return [BoardColumn(board=name, column=label) for name, columns in self.boards for label in columns if label in labels]


def priority_of(labels: Iterable[str]) -> str | None:
    return next((label[len(PRIORITY) :] for label in labels if label.casefold().startswith(PRIORITY)), None)


def only(word: str, known: Sequence[str], kind: str) -> str:
    """The one of *known* that *word* means. Raises InvalidInput with all of them."""
    folded = word.strip().casefold()
    exact = next((each for each in known if each == word), None)
    found = exact or next((each for each in known if each.casefold() == folded), None)
    if found is None:
        more = f", and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
        names = ", ".join(clean(each, 60) for each in known[:_MOST_NAMED]) or "none"
        raise InvalidInput(f"There is no {kind} {clean(word, 60)!r} here. There are: {names}{more}.")
    return found
