"""The values of secrets, read where a definition says that they are."""

import os
from pathlib import Path

from opsroom_shared.errors import InvalidInput
from opsroom_shared.redact import hide

from ..vocabulary import PlanCheck

_MAX_SECRET = 64 << 10


def read_secret(name: str, where: str) -> str:
    """The value of a secret. It is hidden in all logs and answers from then on. Raises InvalidInput."""
    kind, _, place = where.partition(":")
    if kind == "env":
        value = os.environ.get(place)
        if value is None:
            raise InvalidInput(f"The secret {name} is not there: {place} is not set in the environment of this server.")
    else:
        try:
            with Path(place).open(encoding="utf-8") as stream:
                value = stream.read(_MAX_SECRET + 1).rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise InvalidInput(f"The secret {name} cannot be read from {place}: {reason}.") from None
        if len(value) > _MAX_SECRET:
            raise InvalidInput(f"The secret {name} in {place} is longer than {_MAX_SECRET:,} characters.")
    for each in (value, *value.splitlines()):  # logs have it line by line
        hide(each)
    return value


def check_secret(name: str, where: str) -> PlanCheck:
    try:
        read_secret(name, where)
    except InvalidInput as error:
        return PlanCheck(name=f"secret {name}", ok=False, detail=str(error))
    return PlanCheck(name=f"secret {name}", ok=True)
