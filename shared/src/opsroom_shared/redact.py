"""Takes secrets out of text before it reaches an answer or a log."""

import logging
import re

from typing_extensions import override

MASK = "***"

_NAME = r"(?:password|passwd|passphrase|pwd|secret|credential|api[_-]?key|access[_-]?key|private[_-]?key|token(?!s\b))"
_QUOTED = r"\"(?:\\.|[^\"\\])*\"?|'(?:\\.|''|[^'\\])*'?"

# Repetitions are bounded where they could start anywhere in a long line: a log line must not cost quadratic time.
_PATTERNS = (
    re.compile(
        r"(?P<head>authorization[\"']?\s{0,8}[:=]\s{0,8}[\"']?(?:[\w-]{1,20}\s)?)(?P<secret>[^\s\"',;]+)",
        re.IGNORECASE,
    ),
    re.compile(r"(?P<head>cookie[\"']?\s{0,8}[:=]\s{0,8})(?P<secret>[^\r\n]+)", re.IGNORECASE),
    # outside of a header only what looks like a credential: "Basic authentication failed" is a sentence
    re.compile(r"(?P<head>(?:[Bb]earer|[Bb]asic)\s{1,8})(?P<secret>(?=[\w.~+/-]{0,200}[0-9A-Z_=])[\w.~+/=-]{6,})"),
    # password=…, "api_key": "…", X-Auth-Token: …; the value is a quoted text or one word
    re.compile(
        rf"(?P<head>{_NAME}[\w-]{{0,40}}[\"']?\s{{0,8}}(?:=>|[=:])\s{{0,8}}b?)(?P<secret>{_QUOTED}|[^\s\"',;&)}}\]]+)",
        re.IGNORECASE,
    ),
    # SQL: PASSWORD 'secret', IDENTIFIED BY 'secret'
    re.compile(rf"(?P<head>(?:password|identified\s{{1,8}}by)\s{{1,8}})(?P<secret>{_QUOTED})", re.IGNORECASE),
    # the shapes of well-known tokens: Anthropic and OpenAI, GitHub, GitLab, Phabricator, Slack, Grafana, AWS, Google, JWT
    re.compile(
        r"(?P<head>\b)(?P<secret>sk-(?=[\w-]{0,200}\d)[\w-]{16,200}|gh[opsur]_\w{20,255}|github_pat_\w{20,255}"
        r"|gl[a-z]{2,6}-[\w.-]{16,300}|(?:api|cli)-[a-z0-9]{28}|xox[abeprs]-[\w-]{10,255}|gl(?:sa|c)_[\w=+/-]{20,500}"
        r"|A[KS]IA[A-Z0-9]{16}|AIza[\w-]{35}|(?<![\w-])eyJ[\w-]{8,4000}+\.[\w-]{8,8000}+\.[\w-]*)"
    ),
    re.compile(
        r"(?P<head>-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----)(?P<secret>.*?)(?=-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)", re.DOTALL
    ),
)

_WORD = re.compile(r"[^\s\"]+")
_USER = re.compile(r"(://[^:/@]{0,200}:).+")

_hidden: set[str] = set()


def hide(secret: str) -> None:
    """From now on `redact` takes *secret* out wherever it stands; a short one would take ordinary words with it."""
    if len(secret) >= 8:
        _hidden.add(secret)


def redact(text: str) -> str:
    """*text* with passwords, tokens and keys replaced by `***`."""
    for secret in sorted(_hidden, key=len, reverse=True):
        text = text.replace(secret, MASK)
    if "://" in text and "@" in text:
        text = _WORD.sub(_without_password, text)
    for pattern in _PATTERNS:
        text = pattern.sub(_masked, text)
    return text


def _without_password(word: re.Match[str]) -> str:
    """A URL or DSN keeps its user name, which helps to find the mistake; a password may itself hold `/` and `@`."""
    address, at, host = word[0].rpartition("@")
    return _USER.sub(rf"\g<1>{MASK}", address) + at + host


def _masked(match: re.Match[str]) -> str:
    # quotes stay, so that JSON stays JSON
    quote = match["secret"][0] if match["secret"][:1] in ("'", '"') else ""
    return f"{match['head']}{quote}{MASK}{quote}"


class RedactingFormatter(logging.Formatter):
    """Formats a record, its traceback included, and redacts the whole."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
