"""What a person types or pastes for a revision or a task: `D12`, `t3`, or an address of the configured server."""

import re
from urllib.parse import urlsplit

_MONOGRAM = re.compile(r"([DT])([1-9][0-9]{0,9})", re.IGNORECASE)
_THREAD = re.compile(r"([DT][1-9][0-9]{0,9})?#?((?:inline-)?[1-9][0-9]{0,11})", re.IGNORECASE)


def monogram(text: str, letter: str, base: str) -> str | None:
    """`D12` where *text* names that revision (or, by *letter*, `T3` that task) of the server at *base*."""
    text = text.strip()
    if "/" in text:
        text = _of_address(text, base)
    match = _MONOGRAM.fullmatch(text)
    if match is None or match[1].upper() != letter:
        return None
    return letter + match[2]


def thread_place(text: str) -> tuple[str | None, str] | None:
    """The object and the place in its page that the id of a thread names: `D1#inline-5` or `D1#218`."""
    match = _THREAD.fullmatch(text.strip())
    return (match[1].upper() if match[1] else None, match[2].lower()) if match else None


def number(ref: str) -> int:
    return int(ref[1:])


def _of_address(text: str, base: str) -> str:
    """The monogram in an address of the server, or nothing for one of another host."""
    try:
        there, here = urlsplit(text), urlsplit(base)
        same = (there.scheme.lower(), there.hostname, _port(there.scheme, there.port)) == (
            here.scheme.lower(),
            here.hostname,
            _port(here.scheme, here.port),
        )
    except ValueError:
        return ""
    first, _, rest = there.path.lstrip("/").partition("/")
    return first if same and not rest and there.username is None else ""


def _port(scheme: str, port: int | None) -> int | None:
    return port or {"https": 443, "http": 80}.get(scheme.lower())
