"""Remembers changes by the key that their caller gave them, so that none is applied twice, over restarts too."""

import contextlib
import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from opsroom_shared.errors import Conflict, Unavailable

_KEPT_SECONDS = 30 * 86_400.0


@dataclass(frozen=True)
class Applied:
    """What came of a change."""

    rows: int
    also: int
    digest: str


class WriteJournal:
    """One small file for each key, beside what else the server keeps. A file is there before its change begins."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def entry(self, database: str, key: str, statement: str) -> "Entry":
        return Entry(self._folder / f"{_hash(json.dumps([database, key]))}.json", database, statement)


@dataclass(frozen=True)
class Entry:
    """What is known of the change with one key."""

    file: Path
    database: str
    statement: str

    def find(self) -> Applied | None:
        """What came of it, None where there was none. Raises Conflict where that cannot be said."""
        try:
            text = self.file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(error) from error
        try:
            entry = cast("dict[str, object]", json.loads(text))
            if entry.get("statement") != _hash(self.statement):
                raise Conflict("This idempotency_key was used for another statement. Nothing was done; use a key of its own.")
            return Applied(int(str(entry["rows"])), int(str(entry["also"])), str(entry["digest"]))
        except (ValueError, KeyError):
            raise Conflict(
                "A change with this idempotency_key was begun, and how it ended is not known: it runs right now, or the server "
                "was ended in the middle. Look at the data; to apply it after all, use another key."
            ) from None

    def claim(self) -> None:
        """Takes the key for a change that begins now. Raises Conflict where somebody was faster."""
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _forget_old(self.file.parent)
            descriptor = os.open(self.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            raise Conflict("A change with this idempotency_key has just been begun by another call.") from None
        except OSError as error:
            raise _unusable(error) from error
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"statement": _hash(self.statement)}, file)
            file.flush()
            os.fsync(file.fileno())

    def finish(self, applied: Applied) -> None:
        entry = {"statement": _hash(self.statement), "rows": applied.rows, "also": applied.also, "digest": applied.digest}
        new = self.file.with_suffix(".new")
        try:
            new.write_text(json.dumps(entry), encoding="utf-8")
            new.replace(self.file)
        except OSError as error:
            raise Conflict("It was applied, and could not be remembered under its idempotency_key: do not repeat it.") from error

    def release(self) -> None:
        """Gives the key back after a change of which nothing was applied."""
        self.file.unlink(missing_ok=True)


def _forget_old(folder: Path) -> None:
    for file in folder.glob("*.json"):
        with contextlib.suppress(OSError):  # another server may be faster
            if time.time() - file.stat().st_mtime > _KEPT_SECONDS:
                file.unlink()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _unusable(error: OSError) -> Unavailable:
    return Unavailable(
        f"The server cannot keep idempotency keys in its state folder ({error.strerror}). Nothing was done; call without a key, "
        "or set --state to a folder that it may write."
    )
