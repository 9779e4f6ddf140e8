"""What owners do: accounts, repositories, permissions, installing the App."""

import secrets
from collections.abc import Mapping, Sequence

from bot.standin.forge import events, pull_actions, refusals
from bot.standin.forge.lookup import Lookup
from bot.standin.forge.plumbing import ZERO_SHA, Bare
from bot.standin.forge.shapes.repositories import short_repository
from bot.standin.forge.state import Installation, Repository, User
from bot.standin.forge.trees import Entry, Person, write_commit, write_tree

LEVELS = ("admin", "maintain", "write", "triage", "read", "none")


class Owners(Lookup):
    """Each method returns the id of what it made, or nothing."""

    def create_user(self, login: str, kind: str = "User") -> int:
        """An account (`User` or `Organization`); its id, the same one the second time."""
        return self.stage.world.add_user(login, kind).id

    def person_token(self, login: str) -> str:
        """A token with which that person clones and pushes over HTTP."""
        token = "ghp_" + secrets.token_urlsafe(30)
        self.stage.world.personal_tokens[token] = self.stage.world.add_user(login)
        return token

    def set_permission(self, repository: str, login: str, level: str) -> None:
        """What a person may do in a repository: one of LEVELS."""
        if level not in LEVELS:
            raise refusals.unprocessable(f"level must be one of {', '.join(LEVELS)}")
        self.stage.world.add_user(login)
        self.repository(repository).levels[login.lower()] = level

    async def create_repository(
        self,
        full_name: str,
        files: Mapping[str, str | bytes],
        *,
        private: bool = False,
        default_branch: str = "main",
    ) -> int:
        """A repository with one commit that holds the files; without files it stays empty."""
        world = self.stage.world
        found = world.add_repository(full_name, is_private=private, default_branch=default_branch)
        await Bare(found.path).create(default_branch)
        if files:
            await self._commit(found, default_branch, files, found.owner, "Initial commit")
        return found.id

    async def commit(
        self,
        repository: str,
        branch: str,
        files: Mapping[str, str | bytes | None],
        author: str,
        message: str = "Change files",
    ) -> str:
        """A person's commit on a branch (made from the default one when new); None removes a file."""
        found = self.repository(repository)
        return await self._commit(found, branch, files, self.account(author), message)

    async def _commit(
        self,
        found: Repository,
        branch: str,
        files: Mapping[str, str | bytes | None],
        author: User,
        message: str,
    ) -> str:
        bare = Bare(found.path)
        before = await bare.branch(branch)
        parent = before or await bare.branch(found.default_branch)
        entries = [_entry(path, content) for path, content in files.items()]
        tree = await write_tree(bare, parent, entries)
        person = Person(author.login, f"{author.login}@example.com", self.stage.world.clock.now())
        parents = [parent] if parent else []
        sha = await write_commit(
            bare, tree=tree, parents=parents, author=person, committer=person, message=message + "\n"
        )
        await bare.update_ref(f"refs/heads/{branch}", sha, before or ZERO_SHA)
        await pull_actions.branch_moved(self.stage, found, branch, before, author)
        return sha

    async def install(
        self,
        account: str,
        repositories: Sequence[str] | None = None,
        permissions: Mapping[str, str] | None = None,
    ) -> int:
        """Install the App on an account, for some repositories or (None) for all; the id."""
        world = self.stage.world
        names = None if repositories is None else {self.repository(one).id for one in repositories}
        granted = dict(world.app.permissions if permissions is None else permissions)
        now = world.clock.now()
        found = Installation(
            id=world.new_id("installation"),
            account=world.add_user(account),
            repository_ids=names,
            permissions={"metadata": "read", **granted},
            created_at=now,
            updated_at=now,
        )
        world.installations[found.id] = found
        events.installation_event(self.stage, found, "created", found.account, requester=None)
        return found.id

    async def suspend(self, installation_id: int) -> None:
        """Suspend an installation: its tokens get 403."""
        found = self.installation(installation_id)
        found.suspended_at, found.suspended_by = self.stage.world.clock.now(), found.account
        events.installation_event(self.stage, found, "suspend", found.account)

    async def unsuspend(self, installation_id: int) -> None:
        """Let a suspended installation work again."""
        found = self.installation(installation_id)
        found.suspended_at, found.suspended_by = None, None
        events.installation_event(self.stage, found, "unsuspend", found.account)

    async def uninstall(self, installation_id: int) -> None:
        """Remove an installation: its tokens get 401."""
        found = self.installation(installation_id)
        events.installation_event(self.stage, found, "deleted", found.account)
        del self.stage.world.installations[installation_id]

    async def change_repositories(
        self, installation_id: int, added: Sequence[str] = (), removed: Sequence[str] = ()
    ) -> None:
        """Add repositories to an installation of selected ones, or take them out."""
        found = self.installation(installation_id)
        if found.repository_ids is None:
            raise refusals.unprocessable("The installation covers all repositories.")
        more = [self.repository(one) for one in added]
        fewer = [self.repository(one) for one in removed]
        found.repository_ids = {*found.repository_ids, *(one.id for one in more)} - {one.id for one in fewer}
        for action, shown in (("added", more), ("removed", fewer)):
            if shown:
                lists: dict[str, object] = {f"repositories_{word}": [] for word in ("added", "removed")}
                lists[f"repositories_{action}"] = [short_repository(one) for one in shown]
                extra = {"repository_selection": "selected", "requester": None, **lists}
                events.installation_event(self.stage, found, action, found.account, **extra)


def _entry(path: str, content: str | bytes | None) -> Entry:
    raw = content.encode() if isinstance(content, str) else content
    return Entry(path, "100644", raw, None)
