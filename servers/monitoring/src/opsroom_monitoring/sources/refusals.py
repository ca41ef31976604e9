"""What the status of an answer means, for the sources that answer errors in words of their own."""

from collections.abc import Mapping

from opsroom_shared.errors import Conflict, InvalidInput, NotFound, NotPermitted, TimedOut, TooLarge, ToolFailure, Unavailable
from opsroom_shared.outside import clean
from opsroom_shared.redact import redact

from .web import Response

_MAX_WORDS = 400

_MEANING: Mapping[int, tuple[type[ToolFailure], str]] = {
    207: (Unavailable, "{name} answered only a part of what was asked"),
    400: (InvalidInput, "{name} refused the request"),
    401: (NotPermitted, "{name} does not accept the token in its settings, or wants one"),
    403: (NotPermitted, "The token of {name} may not do this"),
    404: (NotFound, "{name} has nothing there"),
    406: (InvalidInput, "{name} refused the request"),
    408: (TimedOut, "{name} ran out of time; ask for a narrower window"),
    412: (Conflict, "It has changed in {name} since it was read"),
    413: (TooLarge, "The request is larger than {name} takes"),
    414: (TooLarge, "The request is larger than {name} takes"),
    422: (InvalidInput, "{name} refused the request"),
    504: (TimedOut, "{name} ran out of time; ask for a narrower window"),
}


def refusal(name: str, response: Response, words: str) -> ToolFailure:
    """The failure that *response*, which is no success, stands for. *words* are the source's own."""
    status = response.status
    if response.headers.get("content-type", "").startswith("text/html") or 300 <= status < 400:
        return Unavailable(
            f"{name} answered with a web page, or sent elsewhere (HTTP {status}), as where one has to log in. "
            "Check the address in its settings, and that its token is accepted."
        )
    failure, meaning = _MEANING.get(status, (Unavailable, "{name} failed"))
    said = redact(clean(words.strip(), _MAX_WORDS))
    return failure(f"{meaning.format(name=name)} (HTTP {status}){f': {said}' if said else '.'}")
