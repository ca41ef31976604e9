"""The discussion of a pull request or an issue as threads."""

from typing import Literal, TypeVar

from opsroom_shared.errors import TooLarge
from pydantic import Field, JsonValue

from ...models import Anchor, Comment, Thread
from . import queries
from .api import GitHubApi
from .changes import variables_of, wrong_kind
from .mapping import person
from .references import Item
from .trust import Trust, TrustReader
from .wire import AnIssue, APull, CommentNode, Connection, Graph, ReviewComment, ReviewNode, ThreadNode

_MOST_ROUNDS = 50
_MOST_COMMENT_PAGES = 5
_VERDICTS = {"APPROVED": "accepted", "CHANGES_REQUESTED": "changes_requested", "DISMISSED": "dismissed", "PENDING": "draft"}


Node = TypeVar("Node")


class _PullTalk(Graph):
    kind: Literal["PullRequest"] = Field(alias="__typename")
    review_threads: Connection[ThreadNode] | None = None
    reviews: Connection[ReviewNode] | None = None
    comments: Connection[CommentNode] | None = None


class _IssueTalk(Graph):
    kind: Literal["Issue"] = Field(alias="__typename")
    comments: Connection[CommentNode] | None = None


class _Repository(Graph):
    item: _PullTalk | _IssueTalk | None = Field(None, discriminator="kind")


class _Data(Graph):
    repository: _Repository | None = None


class _Thread(Graph):
    comments: Connection[ReviewComment] | None = None


class _ThreadData(Graph):
    node: _Thread | None = None


class DiscussionReader:
    def __init__(self, api: GitHubApi, trust: TrustReader) -> None:
        self._api, self._trust = api, trust

    async def read(self, item: Item, *, task: bool) -> list[Thread]:
        """Threads on lines, reviews with their verdicts, and comments. Each of the latter two is a thread of its own."""
        trust = await self._trust.read()
        lines: list[ThreadNode] = []
        reviews: list[ReviewNode] = []
        comments: list[CommentNode] = []
        threads_at: str | None = None
        reviews_at: str | None = None
        comments_at: str | None = None
        wanted = (not task, not task, True)
        for _ in range(_MOST_ROUNDS):
            variables: dict[str, JsonValue] = {
                **variables_of(item),
                "threads": threads_at,
                "reviews": reviews_at,
                "comments": comments_at,
                **dict(zip(("withThreads", "withReviews", "withComments"), wanted, strict=True)),
            }
            talk = await self._part(item, variables, task=task)
            comments += _items(talk.comments)
            comments_at = _following(talk.comments)
            if isinstance(talk, _PullTalk):
                lines += _items(talk.review_threads)
                reviews += _items(talk.reviews)
                threads_at, reviews_at = _following(talk.review_threads), _following(talk.reviews)
            wanted = (threads_at is not None, reviews_at is not None, comments_at is not None)
            if not any(wanted):
                break
        else:
            raise TooLarge(f"{item} has more discussion than is read here ({len(lines)} threads, {len(comments)} comments).")
        threads = [_line_thread(line, await self._comments(line), trust) for line in lines]
        threads += [_review_thread(review, trust) for review in reviews if review.body or review.state in _VERDICTS]
        threads += [Thread(id=comment.id, comments=[_comment(comment, trust)]) for comment in comments]
        return threads

    async def _part(self, item: Item, variables: dict[str, JsonValue], *, task: bool) -> _PullTalk | _IssueTalk:
        answered = await self._api.query(_Data, queries.THREADS, variables)
        found = answered.data.repository.item if answered.data.repository else None
        if found is None:
            raise answered.absence(f"There is no {'issue' if task else 'pull request'} {item} that this account may see.")
        if isinstance(found, _IssueTalk) and not task:
            raise wrong_kind(item, AnIssue(__typename="Issue"))
        if isinstance(found, _PullTalk) and task:
            raise wrong_kind(item, APull(__typename="PullRequest"))
        return found

    async def _comments(self, line: ThreadNode) -> list[ReviewComment]:
        comments, after = list(line.comments.items), line.comments.following
        for _ in range(_MOST_COMMENT_PAGES):
            if after is None:
                break
            answered = await self._api.query(_ThreadData, queries.MORE_COMMENTS, {"id": line.id, "after": after})
            part = answered.data.node.comments if answered.data.node else None
            comments += _items(part)
            after = _following(part)
        return comments


def _items(part: Connection[Node] | None) -> list[Node]:
    return part.items if part else []


def _following(part: Connection[Node] | None) -> str | None:
    return part.following if part else None


def _comment(node: CommentNode, trust: Trust, verdict: str | None = None) -> Comment:
    who = person(node.author)
    return Comment(
        id=node.id,
        author=who,
        trusted=trust.of(who, node.author_association),
        at=node.created_at,
        text=node.body,
        verdict=verdict,
    )


def _line_thread(line: ThreadNode, comments: list[ReviewComment], trust: Trust) -> Thread:
    first = comments[0].original_commit if comments else None
    # the present lines are null once the diff has moved on; where it was written is still known
    start = line.start_line or line.line or line.original_start_line or line.original_line
    end = line.line or line.original_line
    anchor = Anchor(
        path=line.path,
        line=start,
        end_line=end,
        side="old" if line.diff_side == "LEFT" else "new",
        version=first.oid if first else None,
        outdated=line.is_outdated,
    )
    shown = [_comment(comment, trust, "draft" if comment.state == "PENDING" else None) for comment in comments]
    return Thread(id=line.id, anchor=anchor, resolved=line.is_resolved, comments=shown)


def _review_thread(review: ReviewNode, trust: Trust) -> Thread:
    dated = review.model_copy(update={"created_at": review.submitted_at or review.created_at})
    return Thread(id=review.id, comments=[_comment(dated, trust, _VERDICTS.get(review.state, "commented"))])
