"""What people do with issues and pull requests on GitHub's pages: one method each."""

from collections.abc import Sequence

from bot.standin.forge import actions, events, pull_actions
from bot.standin.forge.actions import Writer
from bot.standin.forge.lookup import Lookup
from bot.standin.forge.state import Repository, Thread


class People(Lookup):
    """Each method returns the id or number of what it made, or nothing."""

    def _pair(self, repository: str, number: int) -> tuple[Repository, Thread]:
        return self.repository(repository), self.thread(repository, number)

    async def open_issue(
        self, repository: str, author: str, title: str, body: str = "", labels: Sequence[str] = ()
    ) -> int:
        """A person's issue; its number."""
        found, by = self.repository(repository), Writer(self.account(author))
        return (await actions.open_issue(self.stage, found, by, title, body, labels)).number

    async def edit_issue(
        self, repository: str, number: int, sender: str, title: str | None = None, body: str | None = None
    ) -> None:
        """Change title or body."""
        found, thread = self._pair(repository, number)
        await actions.edit_thread(self.stage, found, thread, self.account(sender), title=title, body=body)

    async def add_label(self, repository: str, number: int, label: str, sender: str) -> None:
        """Put a label on an issue or pull request."""
        found, thread = self._pair(repository, number)
        await actions.add_labels(self.stage, found, thread, self.account(sender), [label])

    async def remove_label(self, repository: str, number: int, label: str, sender: str) -> None:
        """Take a label off."""
        found, thread = self._pair(repository, number)
        await actions.remove_label(self.stage, found, thread, self.account(sender), label)

    async def comment(self, repository: str, number: int, author: str, body: str) -> int:
        """A person's comment; its id."""
        found, thread = self._pair(repository, number)
        return actions.add_comment(self.stage, found, thread, Writer(self.account(author)), body).id

    async def edit_comment(self, repository: str, comment_id: int, sender: str, body: str) -> None:
        """Replace the text of a comment."""
        found = self.repository(repository)
        one = self.stage.world.comment(found, comment_id)
        actions.edit_comment(self.stage, found, one, self.account(sender), body)

    async def delete_comment(self, repository: str, comment_id: int, sender: str) -> None:
        """Remove a comment."""
        found = self.repository(repository)
        one = self.stage.world.comment(found, comment_id)
        actions.delete_comment(self.stage, found, one, self.account(sender))

    async def react(self, repository: str, comment_id: int, author: str, content: str) -> None:
        """A person's reaction to a comment."""
        one = self.stage.world.comment(self.repository(repository), comment_id)
        actions.react(self.stage, one.reactions, self.account(author), content)

    async def close_issue(self, repository: str, number: int, sender: str) -> None:
        """Close an issue, or a pull request without merging it."""
        await self._set_state(repository, number, sender, "closed")

    async def reopen_issue(self, repository: str, number: int, sender: str) -> None:
        """Open an issue or a pull request again."""
        await self._set_state(repository, number, sender, "open")

    async def _set_state(self, repository: str, number: int, sender: str, state: str) -> None:
        found, thread = self._pair(repository, number)
        await pull_actions.set_pull_state(self.stage, found, thread, self.account(sender), state)

    async def lock_issue(self, repository: str, number: int, sender: str) -> None:
        """Lock the conversation."""
        found, thread = self._pair(repository, number)
        thread.is_locked = True
        await events.thread_event(self.stage, found, thread, "locked", self.account(sender))

    async def delete_issue(self, repository: str, number: int, sender: str) -> None:
        """Remove an issue; reads answer 410 from now on."""
        found, thread = self._pair(repository, number)
        await events.thread_event(self.stage, found, thread, "deleted", self.account(sender))
        thread.is_deleted = True

    async def merge_pull(self, repository: str, number: int, sender: str) -> None:
        """Merge a pull request."""
        found, thread = self._pair(repository, number)
        await pull_actions.merge_pull(self.stage, found, thread, self.account(sender))
