"""The App itself, its installations and their tokens."""

from bot.standin.forge import refusals
from bot.standin.forge.auth import SUSPENDED, installation_of, reaches
from bot.standin.forge.call import Answer, Call, Json, Route
from bot.standin.forge.clock import iso
from bot.standin.forge.permissions import RANKS, allows
from bot.standin.forge.shapes import accounts, repositories
from bot.standin.forge.state import Installation

_NOT_ACCESSIBLE = (
    "There is at least one repository that does not exist or is not accessible to the parent installation."
)
_MAX_TOKEN_REPOSITORIES = 500  # .../generating-an-installation-access-token-for-a-github-app


async def get_app(call: Call) -> Answer:
    """The authenticated App."""
    world = call.stage.world
    count = len(world.installations)
    return Answer(body={**accounts.integration(world, world.app), "installations_count": count})


async def list_installations(call: Call) -> Answer:
    """All installations."""
    world = call.stage.world
    page, headers = call.page([accounts.installation(world, one) for one in world.installations.values()])
    return Answer(body=page, headers=headers)


async def get_installation(call: Call) -> Answer:
    """One installation."""
    return Answer(body=accounts.installation(call.stage.world, _installation(call)))


async def get_repository_installation(call: Call) -> Answer:
    """The installation that reaches a repository."""
    world = call.stage.world
    repository = world.repository(f"{call.match['owner']}/{call.match['repo']}")
    found = world.installation_for(repository)
    if found is None:
        raise refusals.not_found()
    return Answer(body=accounts.installation(world, found))


def _installation(call: Call) -> Installation:
    found = call.stage.world.installations.get(call.number("installation_id"))
    if found is None:
        raise refusals.not_found()
    return found


async def create_token(call: Call) -> Answer:
    """An installation token, narrowed as the body asks."""
    world, found, body = call.stage.world, _installation(call), call.json()
    if found.suspended_at is not None:
        raise refusals.forbidden(SUSPENDED)
    repository_ids = _narrowed_repositories(call, found, body)
    permissions = _narrowed_permissions(found, body.get("permissions"))
    token = world.new_token(found, repository_ids, permissions)
    shape: Json = {
        "token": token.value,
        "expires_at": iso(token.expires_at),
        "permissions": permissions,
        "repository_selection": "all" if found.repository_ids is None else "selected",
    }
    if repository_ids is not None:
        shape["repository_selection"] = "selected"
        shape["repositories"] = [
            repositories.repository(world, one) for one in world.covered(found, repository_ids)
        ]
    return Answer(201, shape)


def _narrowed_repositories(call: Call, found: Installation, body: Json) -> frozenset[int] | None:
    ids, names = body.get("repository_ids"), body.get("repositories")
    if ids is None and names is None:
        return None
    covered = call.stage.world.covered(found)
    by_name = {one.name.lower(): one.id for one in covered}
    wanted = {*(ids or ()), *(by_name.get(str(name).lower()) for name in names or ())}
    known = frozenset(one.id for one in covered if one.id in wanted)
    if len(known) != len(wanted) or len(wanted) > _MAX_TOKEN_REPOSITORIES or not wanted:
        raise refusals.unprocessable(_NOT_ACCESSIBLE)
    return known


def _narrowed_permissions(found: Installation, wanted: object) -> dict[str, str]:
    if not wanted:
        return dict(found.permissions)
    if not isinstance(wanted, dict) or not all(
        level in RANKS[1:] and allows(found.permissions, name, level) for name, level in wanted.items()
    ):
        raise refusals.unprocessable("The permissions requested are not granted to this installation.")
    return {"metadata": "read", **wanted}


async def revoke_token(call: Call) -> Answer:
    """End the token that makes this call."""
    call.token.is_revoked = True
    return Answer(204)


async def list_token_repositories(call: Call) -> Answer:
    """The repositories that the token reaches."""
    world, token = call.stage.world, call.token
    reached = [one for one in world.repositories.values() if reaches(world, token, one)]
    page, headers = call.page([repositories.repository(world, one) for one in reached])
    is_all = installation_of(world, token).repository_ids is None and token.repository_ids is None
    body = {
        "total_count": len(reached),
        "repository_selection": "all" if is_all else "selected",
        "repositories": page,
    }
    return Answer(body=body, headers=headers)


ROUTES = [
    Route("GET", "/app", get_app, "app"),
    Route("GET", "/app/installations", list_installations, "app"),
    Route("GET", "/app/installations/{installation_id}", get_installation, "app"),
    Route("POST", "/app/installations/{installation_id}/access_tokens", create_token, "app"),
    Route("GET", "/repos/{owner}/{repo}/installation", get_repository_installation, "app"),
    Route("DELETE", "/installation/token", revoke_token, "token"),
    Route("GET", "/installation/repositories", list_token_repositories, "token"),
]
