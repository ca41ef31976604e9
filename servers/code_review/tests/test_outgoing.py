"""Words that act, made inert: against a real Markdown renderer, and against the raw patterns that systems look for."""

import re
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from opsroom_code_review.models import ProviderKind
from opsroom_code_review.outgoing import neutralised

KINDS = [kind for kind in get_args(ProviderKind) if kind != "local"]
RENDERER = MarkdownIt("commonmark")

# What the systems look for in rendered text outside of code, written down again from their own sources.
IN_TEXT = {
    "github": r"(?:^|[^A-Za-z0-9`])@[A-Za-z0-9]|(?:^|[^&A-Za-z0-9])#\d+\b|\bGH-\d+\b",
    "gitlab": r"(?:^|[^A-Za-z0-9`])@[A-Za-z0-9_]|(?:^|[^&#!A-Za-z0-9])[#!&]\d+\b",
    "phabricator": r"(?:^|[^A-Za-z0-9_])@[A-Za-z0-9_]|(?:^|[^A-Za-z0-9_])[TDPFM]\d+(?![A-Za-z0-9_])",
}
# What they look for in the text as it was sent, whatever it renders to.
RAW = {
    "github": r"^/[a-z]",
    "gitlab": r"^/[a-z]|\b(?:[Cc]los(?:e|es|ed|ing)|[Ff]ix(?:es|ed|ing)?)\b:? +(?:#\d+\b|https?://\S)",
    "phabricator": r"^\s*![a-z]|\b(?:[Ff]ixes|[Cc]loses|[Rr]ef)\s+T\d+\b",
}


def live_remarkup(text: str) -> str:
    """What is outside of code in Remarkup, whose own rules for code these are; entities mean nothing there."""
    blocks = re.sub(r"(?:^|(?<=\n\n))```[\w+.-]* *\n(?:(?!.*```).*\n)*```[ ]*(?=\n|$)", "", text)
    return re.sub(r"##([\s\S]+?)##|\B`(.+?)`\B", "`", blocks, flags=re.ASCII)


def live_text(markdown: str) -> str:
    """What a reader sees outside of code: the text nodes of each block, joined as they stand beside one another."""
    parts: list[str] = []
    for token in RENDERER.parse(markdown):
        if token.type == "html_block":
            parts.append(token.content)
        parts += ["".join(_live(child.type, child.content) for child in token.children or [])]
    return "\n".join(parts)


def _live(kind: str, content: str) -> str:
    if kind == "code_inline":
        return "`"
    return "\n" if kind in ("softbreak", "hardbreak") else content if kind in ("text", "html_inline", "text_special") else ""


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("github", "Thanks @carol, and @org/team.", "Thanks `@carol`, and `@org/team`."),
        ("github", "Fixes #12 and GH-4; mail a@b.example", "Fixes `#12` and `GH-4`; mail a@b.example"),
        ("github", "Closes https://github.com/a/b/issues/1", "Closes `https://github.com/a/b/issues/1`"),
        ("github", "See https://github.com/a/b/pull/1#discussion_r2", "See https://github.com/a/b/pull/1#discussion_r2"),
        ("github", "/lgtm\nnext", "`/lgtm`\nnext"),
        ("gitlab", "/approve\n/assign @me", "`/approve`\n`/assign` `@me`"),
        ("gitlab", "like !12, &3 and #4", "like `!12`, `&3` and `#4`"),
        ("phabricator", "Fixes T4, see D5 #backend", "Fixes `T4`, see `D5` `#backend`"),
        ("phabricator", "!accept", "`!accept`"),
        ("phabricator", "UTF8, x86 and R2D2", "UTF8, x86 and R2D2"),
        ("local", "@carol T4 /approve", "@carol T4 /approve"),
    ],
)
def test_words_that_act_become_code(kind: ProviderKind, text: str, expected: str) -> None:
    """They stand in code, and read as before; what does not act stays as it is."""
    assert neutralised(text, kind) == expected


@pytest.mark.parametrize("text", ["Use `@carol` here.", "```py\n@decorator\nT4\n```", "first\n\n```\n@x #1 T1 !1\n```\nlast"])
@pytest.mark.parametrize("kind", KINDS)
def test_code_stays_code(kind: ProviderKind, text: str) -> None:
    """What stands in code already is not touched."""
    assert neutralised(text, kind) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a lone ` and @carol", "a lone ` and @ carol"),
        ("\\@carol", "\\@ carol"),
        ("_@carol_", "_@ carol_"),
        ("<b>@carol</b>", "<b>@ carol</b>"),
        ("&#64;carol", "& `#64`;carol"),
        ("[a](/`) @carol `", "[a](/`) @ carol `"),
        ("<div>\n```\n@carol\n```\n</div>", "<div>\n```\n@ carol\n```\n</div>"),
        ("```\n@carol", "```\n@ carol"),
    ],
)
def test_where_code_could_be_torn_a_space_parts_the_word(text: str, expected: str) -> None:
    """Beside marks that could open or close code in another place, no code span is trusted."""
    assert neutralised(text, "github") == expected


WORDS = (
    "@carol",
    "@org/team",
    "#12",
    "o/r#3",
    "GH-4",
    "T4",
    "D12",
    "#backend",
    "!accept",
    "!7",
    "&3",
    "/approve",
    "&#64;",
    "x@y",
)
CLOSING = ("Fixes ", "Closes: ", "https://x.example/T4", "https://github.com/a/b/issues/1")
MARKS = ("`", "``", "```", "\n", "\n\n", "\\", "<", ">", "<b>", "&", "(", ")", "[", "](", "*", "_", "**", "~~", "|", "- ", "> ")
OTHERS = (" ", "  ", "a", "ö", "'", '"', ".", ",", "    ", "\t", "\r\n")
PIECES = st.sampled_from((*WORDS, *CLOSING, *MARKS, *OTHERS))


@settings(max_examples=1_500, deadline=None)
@given(kind=st.sampled_from(KINDS), pieces=st.lists(PIECES, max_size=14))
@example(kind="github", pieces=["`", "@carol", "``", "@carol", "`"])
@example(kind="github", pieces=["<b>", "\n\n", "```", "\n", "@carol", "\n", "```"])
def test_nothing_acts_and_a_second_time_changes_nothing(kind: ProviderKind, pieces: list[str]) -> None:
    """Whatever the markup around them, no word acts in what is sent, and sending it again sends the same."""
    sent = neutralised("".join(pieces), kind)

    assert neutralised(sent, kind) == sent
    live = live_remarkup(sent) if kind == "phabricator" else live_text(sent)
    assert not re.search(IN_TEXT[kind], live, re.MULTILINE)
    outside = re.sub(r"^```[\s\S]*?^```\s*$", "", sent, flags=re.MULTILINE)
    assert not re.search(RAW[kind], outside, re.MULTILINE)


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(KINDS), pieces=st.lists(PIECES, max_size=14))
def test_the_words_stay(kind: ProviderKind, pieces: list[str]) -> None:
    """Only backticks and spaces are added: nothing that was written is lost."""
    text = "".join(pieces)

    sent = neutralised(text, kind)

    def bare(words: str) -> str:
        return re.sub(r"[`\s]", "", words)

    assert bare(sent) == bare(text)


def test_long_text_takes_no_quadratic_time() -> None:
    """Sixty thousand characters of the worst kinds are done in the time of the test."""
    for piece in ("@", "a.", "`", "```\n", "@a", "#1", "[](", "<", "&#1", "/a\n", "r", "\\"):
        assert neutralised(piece * (60_000 // len(piece)), "phabricator") is not None
        assert neutralised(piece * (60_000 // len(piece)), "gitlab") is not None
