"""The App was installed, changed, suspended or removed: our record follows, nothing is said."""

from bot.domain.intents import Event, Intent, RemoveInstallation, SaveInstallation
from bot.domain.values import Json
from bot.handlers import payload


def saved(event: Event) -> list[Intent]:
    """An installation exists: keep it with its account, permissions and the repositories named here."""
    found = _save(event, "repositories", is_suspended=_is_suspended(event))
    return [found] if found else []


def removed(event: Event) -> list[Intent]:
    """The App was uninstalled."""
    found = _save(event, "repositories", is_suspended=True)
    return [RemoveInstallation(found.installation_id)] if found else []


def repositories_changed(event: Event) -> list[Intent]:
    """Repositories were added to the installation, or taken from it."""
    found = _save(event, "repositories_added", is_suspended=_is_suspended(event))
    return [found] if found else []


def _save(event: Event, key: str, *, is_suspended: bool) -> SaveInstallation | None:
    """What the payload says; None if it is another event's (those name a repository, and no account)."""
    installation = payload.child(event.payload, "installation")
    account = payload.child(installation, "account")
    installation_id, account_id = payload.number(installation, "id"), payload.number(account, "id")
    if "repository" in event.payload or installation_id is None or account_id is None:
        return None
    gone = payload.children(event.payload, "repositories_removed")
    return SaveInstallation(
        installation_id=installation_id,
        account_id=account_id,
        account_login=payload.text(account, "login") or payload.text(account, "slug"),
        account_type=payload.text(account, "type") or payload.text(installation, "target_type"),
        is_suspended=is_suspended,
        permissions=_permissions(payload.child(installation, "permissions")),
        repositories=payload.repositories(event.payload, key),
        removed_repository_ids=tuple(found for item in gone if (found := payload.number(item, "id"))),
    )


def _is_suspended(event: Event) -> bool:
    """Whether the installation is suspended now; the action counts more than the field."""
    installation = payload.child(event.payload, "installation")
    said = {"suspend": True, "unsuspend": False}.get(event.action or "")
    return bool(installation.get("suspended_at")) if said is None else said


def _permissions(granted: Json) -> tuple[tuple[str, str], ...]:
    """The granted permissions, sorted by name."""
    return tuple(sorted((name, level) for name in granted if (level := payload.text(granted, name))))
