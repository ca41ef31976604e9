"""Takes secrets out of text before it reaches an answer or a log."""

import logging
import re

from typing_extensions import override

MASK = "***"

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # user:password@host in any URL or DSN; the user name stays, it helps to find the mistake
    (re.compile(r"(?P<head>\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/]+@", re.IGNORECASE), rf"\g<head>:{MASK}@"),
    (re.compile(r"(?P<head>\b(?:bearer|basic)\s+)[a-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\g<head>{MASK}"),
    (
        re.compile(
            r"(?P<head>\b[\w-]*(?:password|passwd|pwd|secret|token|api[_-]?key)[\w-]*[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&]+",
            re.IGNORECASE,
        ),
        rf"\g<head>{MASK}",
    ),
    # well-known token shapes: Anthropic, GitHub, GitLab, Phabricator, Slack, AWS, JWT
    (
        re.compile(
            r"\b(?:sk-[a-z]+-[\w-]{8,}|gh[opsur]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|(?:api|cli)-[a-z0-9]{28}"
            r"|xox[abprs]-[\w-]{10,}|AKIA[A-Z0-9]{16}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
        ),
        MASK,
    ),
)


def redact(text: str) -> str:
    """*text* with passwords, tokens and keys replaced by `***`."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


class RedactingFormatter(logging.Formatter):
    """Formats a record, its traceback included, and redacts the whole."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
