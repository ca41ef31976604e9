"""What a person may call a change or a task of a local repository."""

import re
from dataclasses import dataclass
from typing import TypeAlias

WORKTREE = "worktree"

_NAME = re.compile(r"(?![-/])(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|$)))[^\x00-\x20\x7f~^:?*\[\\]{1,255}(?<![/.])", re.DOTALL)
_REVISION = re.compile(r"(?!-)(?!.*(?:\.\.|\^\{/))[^\x00-\x20\x7f:?*\[\\]{1,255}", re.DOTALL)
_RANGE = re.compile(r"(.*?[^.]|)(\.{2,3})([^.].*|)", re.DOTALL)
_TASK = re.compile(r"[Tt]([1-9][0-9]{0,8})")
_FOREIGN = re.compile(r"[DT][0-9]+|.*[#!][0-9]+", re.IGNORECASE | re.DOTALL)
"""What other systems call their changes and tasks; a branch of such a name needs `refs/heads/` in front."""


@dataclass(frozen=True)
class BranchName:
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Range:
    """What *right* has that *left* has not; with three dots, counted from where the two parted."""

    left: str
    right: str
    dots: str

    def __str__(self) -> str:
        return f"{self.left}{self.dots}{self.right}"


@dataclass(frozen=True)
class WorkingTree:
    def __str__(self) -> str:
        return WORKTREE


Reference: TypeAlias = BranchName | Range | WorkingTree


def read_reference(text: str) -> Reference | None:
    """What *text* may stand for; None if it cannot be anything here."""
    text = text.strip()
    if text == WORKTREE:
        return WorkingTree()
    if ".." in text:
        match = _RANGE.fullmatch(text)
        if match is None or not (match[1] or match[3]):
            return None
        left, right = match[1] or "HEAD", match[3] or "HEAD"
        if _REVISION.fullmatch(left) and _REVISION.fullmatch(right):
            return Range(left, right, match[2])
        return None
    if _FOREIGN.fullmatch(text) and not text.startswith("refs/"):
        return None
    return BranchName(text) if _NAME.fullmatch(text) and text != "@" else None


def spelled(name: str, *, of: str) -> str:
    """The branch *name* as a reference: with the whole of its ref *of*, if it alone would mean something else."""
    return name if read_reference(name) == BranchName(name) else of


def read_task(text: str) -> str | None:
    match = _TASK.fullmatch(text.strip())
    return f"T{match[1]}" if match else None
