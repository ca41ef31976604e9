"""What people wrote elsewhere, made harmless to show, and withheld in strict mode where they are not trusted."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar, cast

from opsroom_shared.outside import clean
from pydantic import BaseModel

from .models import Change, ChangeDetails, Task, Thread
from .paths import given, shown

M = TypeVar("M", bound=BaseModel)

WITHHELD = "[withheld: the author is not trusted]"
HOW_TO_SEE = (
    "Strict mode withholds what people wrote who are not trusted. A person reads it at its address, or adds the author to "
    "trusted or trusted_groups in the settings of this server."
)

_LONGEST_TEXT = 8_000
_LONGEST_WORD = 500
_TEXTS = ("summary", "test_plan", "text", "body", "log_tail")
_PATHS = ("path", "old_path")


@dataclass(frozen=True)
class Incoming:
    """How the words of one system are shown."""

    strict: bool
    trusted: Collection[str] = ()
    """Names of people whose words are trusted, wherever a listing does not say it itself."""

    def change(self, change: Change) -> Change:
        change = cleaned(change)
        if self.strict and (change.author is None or change.author.name not in self.trusted):
            return change.model_copy(update={"title": WITHHELD})
        return change

    def details(self, details: ChangeDetails) -> ChangeDetails:
        details = cleaned(details)
        if not self.strict or details.trusted:
            return details
        change = details.change.model_copy(update={"title": WITHHELD})
        withheld = {"summary": f"{WITHHELD} {HOW_TO_SEE}", "test_plan": details.test_plan and WITHHELD}
        return details.model_copy(update={"change": change, **withheld})

    def thread(self, thread: Thread) -> Thread:
        thread = cleaned(thread)
        if not self.strict:
            return thread
        comments = [
            comment if comment.trusted or not comment.text else comment.model_copy(update={"text": WITHHELD})
            for comment in thread.comments
        ]
        return thread.model_copy(update={"comments": comments})

    def task(self, task: Task) -> Task:
        task = cleaned(task)
        if not self.strict or task.trusted:
            return task
        return task.model_copy(update={"title": WITHHELD, "body": task.body and WITHHELD})


def cleaned(model: M) -> M:
    """*model* with every text in it bounded and without what cannot be seen; a path is written as one line."""
    return type(model).model_validate(_cleaned("", model.model_dump()))


def _cleaned(name: str, value: object) -> object:
    if isinstance(value, str):
        if name in _PATHS:
            return shown(given(value))  # a provider may have made it readable already
        return clean(value, _LONGEST_TEXT if name in _TEXTS else _LONGEST_WORD)
    if isinstance(value, dict):
        return {key: _cleaned(key, item) for key, item in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [_cleaned(name, item) for item in cast("list[object]", value)]
    return value
