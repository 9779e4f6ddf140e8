"""The forge's state in one place: finding, creating and numbering things."""

import itertools
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from bot.standin.forge import refusals
from bot.standin.forge.clock import ForgeClock
from bot.standin.forge.state import (
    App,
    Attachment,
    Comment,
    Installation,
    Label,
    Repository,
    Thread,
    Token,
    User,
)

# Ids start far apart and, where GitHub's are, beyond 32 bits, so that mixing two kinds up is noticed.
_FIRST_IDS = {
    "user": 9_100_001,
    "repository": 700_100_001,
    "installation": 50_100_001,
    "thread": 2_900_100_001,
    "comment": 3_100_100_001,
    "pull": 2_100_100_001,
    "label": 6_100_100_001,
    "reaction": 260_100_001,
    "token": 1,
    "delivery": 5_000_000_001,
    "review": 1_700_100_001,
    "check_run": 33_100_100_001,
    "check_suite": 41_100_100_001,
}
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")
_TOKEN_LIFETIME_SECONDS = 3600  # .../generating-an-installation-access-token-for-a-github-app
_TOKEN_PARTS = 4  # new tokens are about 520 characters with dots in them


class World:
    """All state of one forge; `url` is its base address, without a slash at the end."""

    def __init__(self, root: Path, clock: ForgeClock, app_id: int, slug: str) -> None:
        self.root = root
        self.clock = clock
        self.url = "http://127.0.0.1"
        self.users: dict[str, User] = {}
        self.repositories: dict[str, Repository] = {}
        self.installations: dict[int, Installation] = {}
        self.tokens: dict[str, Token] = {}
        self.former_names: dict[str, Repository] = {}
        self.personal_tokens: dict[str, User] = {}
        self.attachments: dict[str, Attachment] = {}
        self._ids = {kind: itertools.count(first) for kind, first in _FIRST_IDS.items()}
        self.app = App(
            id=app_id,
            slug=slug,
            name=slug.title(),
            owner=self.add_user("app-owner"),
            bot=self.add_user(f"{slug}[bot]", "Bot"),
            public_keys=[],
            permissions={},
            events=[],
            created_at=clock.now(),
        )

    def new_id(self, kind: str) -> int:
        """The next id of that kind."""
        return next(self._ids[kind])

    def add_user(self, login: str, kind: str = "User") -> User:
        """The account of that login, made when it is not there yet."""
        user = self.users.get(login.lower())
        if user is None:
            user = User(self.new_id("user"), login, kind, self.clock.now())
            self.users[login.lower()] = user
        return user

    def user(self, login: str) -> User:
        """The account of that login; raises a 404 refusal."""
        try:
            return self.users[login.lower()]
        except KeyError:
            raise refusals.not_found() from None

    def add_repository(self, full_name: str, *, is_private: bool, default_branch: str) -> Repository:
        """A new repository without commits; its owner is made when needed."""
        owner, _, name = full_name.partition("/")
        if not _NAME.fullmatch(owner) or not _NAME.fullmatch(name) or name.lower().endswith(".git"):
            raise refusals.invalid("Repository", "name")
        if full_name.lower() in self.repositories:
            raise refusals.invalid("Repository", "name", "custom", "name already exists on this account")
        now = self.clock.now()
        number = self.new_id("repository")
        found = Repository(
            id=number,
            owner=self.add_user(owner),
            name=name,
            path=self.root / f"{number}.git",
            is_private=is_private,
            default_branch=default_branch,
            created_at=now,
            pushed_at=now,
        )
        self.repositories[full_name.lower()] = found
        return found

    def repository(self, full_name: str) -> Repository:
        """The repository of that name, in any case; raises a 404 refusal."""
        try:
            return self.repositories[full_name.lower()]
        except KeyError:
            raise refusals.not_found() from None

    def rename(self, full_name: str, new_name: str) -> None:
        """Give a repository another name; requests for the old one are sent to its number."""
        found = self.repository(full_name)
        del self.repositories[full_name.lower()]
        found.name = new_name
        self.repositories[found.full_name.lower()] = found
        self.former_names[full_name.lower()] = found

    def repository_by_id(self, repository_id: int) -> Repository:
        """The repository of that number; raises a 404 refusal."""
        for found in self.repositories.values():
            if found.id == repository_id:
                return found
        raise refusals.not_found()

    def next_number(self, repository: Repository) -> int:
        """The number of the next issue or pull request."""
        return max(repository.threads, default=0) + 1

    def thread(self, repository: Repository, number: int) -> Thread:
        """An issue or pull request; raises 404 when it never was, 410 when it was deleted."""
        found = repository.threads.get(number)
        if found is None or found.visible_at > self.clock.now():
            raise refusals.not_found()
        if found.is_deleted:
            raise refusals.gone("This issue was deleted")
        return found

    def comment(self, repository: Repository, comment_id: int) -> Comment:
        """A comment by its id; raises 404 when it is not there, not yet or no more."""
        for thread in repository.threads.values():
            for comment in thread.comments:
                if comment.id == comment_id and not thread.is_deleted and self.is_visible(comment):
                    return comment
        raise refusals.not_found()

    def is_visible(self, thing: Comment | Thread) -> bool:
        """Whether reads may see it already."""
        return thing.visible_at <= self.clock.now()

    def label(self, repository: Repository, name: str) -> Label:
        """The repository's label of that name, made when it is not there yet, as GitHub does."""
        found = repository.labels.get(name.lower())
        if found is None:
            found = Label(self.new_id("label"), name)
            repository.labels[name.lower()] = found
        return found

    def level(self, repository: Repository, user: User) -> str:
        """admin, maintain, write, triage, read or none; strangers read what is public."""
        if user.id == repository.owner.id:
            return "admin"
        return repository.levels.get(user.login.lower(), "none" if repository.is_private else "read")

    def covers(self, installation: Installation, repository: Repository) -> bool:
        """Whether an installation reaches a repository."""
        if installation.account.id != repository.owner.id:
            return False
        return installation.repository_ids is None or repository.id in installation.repository_ids

    def installation_for(self, repository: Repository) -> Installation | None:
        """The installation that reaches a repository, if there is one."""
        return next((one for one in self.installations.values() if self.covers(one, repository)), None)

    def covered(self, installation: Installation, only: Iterable[int] | None = None) -> list[Repository]:
        """The repositories of an installation, optionally only those with the given ids."""
        found = [one for one in self.repositories.values() if self.covers(installation, one)]
        return found if only is None else [one for one in found if one.id in set(only)]

    def new_token(
        self,
        installation: Installation,
        repository_ids: frozenset[int] | None,
        permissions: dict[str, str],
    ) -> Token:
        """A fresh installation token, valid for one hour of forge time."""
        value = "ghs_" + ".".join(secrets.token_urlsafe(96) for _ in range(_TOKEN_PARTS))
        token = Token(
            id=self.new_id("token"),
            value=value,
            installation_id=installation.id,
            repository_ids=repository_ids,
            permissions=permissions,
            expires_at=self.clock.now() + _TOKEN_LIFETIME_SECONDS,
        )
        self.tokens[value] = token
        return token
