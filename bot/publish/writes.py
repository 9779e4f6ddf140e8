"""The kinds of writes: what each needs, and what it refers to."""

from collections.abc import Iterable, Mapping
from typing import Final

from bot.domain.enums import OperationKind
from bot.domain.values import Json
from bot.publish.change import Branch, PullRequest
from bot.publish.drafts import Write
from bot.publish.talk import Assign, Comment, CommentEdit, Labels, Reaction
from bot.publish.verdicts import CheckRun, Review

WRITES: Final[Mapping[OperationKind, Write]] = {
    OperationKind.REACTION: Reaction(),
    OperationKind.COMMENT: Comment(),
    OperationKind.COMMENT_EDIT: CommentEdit(),
    OperationKind.BRANCH: Branch(),
    OperationKind.PULL_REQUEST: PullRequest(),
    OperationKind.ASSIGN: Assign(),
    OperationKind.LABELS: Labels(),
    OperationKind.REVIEW: Review(),
    OperationKind.CHECK_RUN: CheckRun(),
}


def permissions_of(kinds: Iterable[OperationKind]) -> dict[str, str]:
    """The union of what these kinds need, for one narrow token; `write` wins over `read`."""
    union: dict[str, str] = {}
    for kind in kinds:
        for name, level in WRITES[kind].permissions.items():
            if union.get(name) != "write":
                union[name] = level
    return union


def referred_keys(payload: Json) -> set[str]:
    """The keys of the operations whose remote ids a payload needs."""
    named = {payload[name] for name in ("comment_key", "pull_key", "check_key") if name in payload}
    return named | {key for name in ("links", "anchors") for key in payload.get(name, {}).values()}
