"""What an engine says, in words that may be shown: without the URL, its password, and the place in a statement of ours."""

import re
from collections.abc import Iterable
from urllib.parse import quote

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from .. import cells
from ..secret_names import looks_secret

_MAX_MESSAGE = 600
_SHORTEST_SECRET = 4
_PLACE = re.compile(r"\s*\n\s*LINE \d+:.*", re.DOTALL)


def cleaned(error: BaseException, hidden: Iterable[str]) -> str:
    """The engine's own words, without anything of *hidden*."""
    message = str(error.orig if isinstance(error, DBAPIError) and error.orig else error)
    for secret in hidden:
        message = message.replace(secret, "***")
    return cells.text(_PLACE.sub("", message).strip(), _MAX_MESSAGE)


def hidden_parts(text: str) -> list[str]:
    """What must not be shown of a URL, in every form in which a driver may repeat it, the longest first."""
    url = make_url(text)
    found = {text, url.render_as_string(hide_password=False), str(url.password or "")}
    for key, value in url.query.items():
        values = [value] if isinstance(value, str) else list(value)
        for each in values:
            parts = [part.partition("=")[2] for part in each.split(";")] if key == "odbc_connect" else []
            found |= {each, *parts} if key == "odbc_connect" or looks_secret(key) else set[str]()
    quoted = {quote(each, safe="") for each in found}
    return sorted((each for each in found | quoted if len(each) >= _SHORTEST_SECRET), key=len, reverse=True)
