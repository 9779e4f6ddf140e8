"""Users, the App and installations as JSON."""

from typing import Any

from bot.standin.forge.clock import iso, iso_or_none
from bot.standin.forge.state import App, Installation, User
from bot.standin.forge.world import World


def node_id(prefix: str, number: int) -> str:
    """A stable opaque id."""
    return f"{prefix}_kwDO{number:x}"


def user(world: World, account: User) -> dict[str, Any]:
    """A simple user."""
    api = f"{world.url}/users/{account.login}"
    is_bot = account.kind == "Bot"
    page = f"apps/{account.login.removesuffix('[bot]')}" if is_bot else account.login
    return {
        "login": account.login,
        "id": account.id,
        "node_id": node_id("U", account.id),
        "avatar_url": f"{world.url}/avatars/{account.id}",
        "gravatar_id": "",
        "url": api,
        "html_url": f"{world.url}/{page}",
        "followers_url": f"{api}/followers",
        "following_url": f"{api}/following{{/other_user}}",
        "gists_url": f"{api}/gists{{/gist_id}}",
        "starred_url": f"{api}/starred{{/owner}}{{/repo}}",
        "subscriptions_url": f"{api}/subscriptions",
        "organizations_url": f"{api}/orgs",
        "repos_url": f"{api}/repos",
        "events_url": f"{api}/events{{/privacy}}",
        "received_events_url": f"{api}/received_events",
        "type": account.kind,
        "user_view_type": "public",
        "site_admin": False,
    }


def public_user(world: World, account: User) -> dict[str, Any]:
    """The profile that anyone sees."""
    owned = sum(1 for one in world.repositories.values() if one.owner is account and not one.is_private)
    return {
        **user(world, account),
        "name": None,
        "company": None,
        "blog": "",
        "location": None,
        "email": None,
        "hireable": None,
        "bio": None,
        "public_repos": owned,
        "public_gists": 0,
        "followers": 0,
        "following": 0,
        "created_at": iso(account.created_at),
        "updated_at": iso(account.created_at),
    }


def organization(world: World, account: User) -> dict[str, Any]:
    """An organization as webhooks name it."""
    api = f"{world.url}/orgs/{account.login}"
    return {
        "login": account.login,
        "id": account.id,
        "node_id": node_id("O", account.id),
        "url": api,
        "repos_url": f"{api}/repos",
        "events_url": f"{api}/events",
        "hooks_url": f"{api}/hooks",
        "issues_url": f"{api}/issues",
        "members_url": f"{api}/members{{/member}}",
        "public_members_url": f"{api}/public_members{{/member}}",
        "avatar_url": f"{world.url}/avatars/{account.id}",
        "description": "",
    }


def integration(world: World, app: App) -> dict[str, Any]:
    """The App."""
    return {
        "id": app.id,
        "client_id": f"Iv23li{app.id:014d}",
        "slug": app.slug,
        "node_id": node_id("A", app.id),
        "owner": user(world, app.owner),
        "name": app.name,
        "description": "",
        "external_url": f"{world.url}/{app.slug}",
        "html_url": f"{world.url}/apps/{app.slug}",
        "created_at": iso(app.created_at),
        "updated_at": iso(app.created_at),
        "permissions": dict(app.permissions),
        "events": list(app.events),
    }


def installation(world: World, found: Installation) -> dict[str, Any]:
    """An installation."""
    api = f"{world.url}/app/installations/{found.id}"
    return {
        "id": found.id,
        "client_id": f"Iv23li{world.app.id:014d}",
        "account": user(world, found.account),
        "repository_selection": "all" if found.repository_ids is None else "selected",
        "access_tokens_url": f"{api}/access_tokens",
        "repositories_url": f"{world.url}/installation/repositories",
        "html_url": f"{world.url}/settings/installations/{found.id}",
        "app_id": world.app.id,
        "app_slug": world.app.slug,
        "target_id": found.account.id,
        "target_type": found.account.kind,
        "permissions": dict(found.permissions),
        "events": list(world.app.events),
        "created_at": iso(found.created_at),
        "updated_at": iso(found.updated_at),
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_by": user(world, found.suspended_by) if found.suspended_by else None,
        "suspended_at": iso_or_none(found.suspended_at),
    }
