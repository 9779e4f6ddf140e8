"""Repositories, accounts and their permissions, and what needs no permission."""

from bot.standin.forge import refusals
from bot.standin.forge.call import Answer, Call, Route
from bot.standin.forge.shapes import accounts, repositories

_COARSE = {"maintain": "write", "triage": "read"}
_PUSH = {"admin", "maintain", "write"}


async def get_repository(call: Call) -> Answer:
    """The repository."""
    return Answer(body=repositories.full_repository(call.stage.world, call.repository))


async def get_user(call: Call) -> Answer:
    """A public profile."""
    world = call.stage.world
    return Answer(body=accounts.public_user(world, world.user(call.match["login"])))


async def get_permission(call: Call) -> Answer:
    """What an account may do here: the coarse level, and the role with its finer name."""
    world = call.stage.world
    account = world.users.get(call.match["login"].lower())
    if account is None or account.kind != "User":
        raise refusals.not_found(f"{call.match['login']} is not a user")
    role = world.level(call.repository, account)
    permissions = {
        "pull": role != "none",
        "triage": role in _PUSH | {"triage"},
        "push": role in _PUSH,
        "maintain": role in {"admin", "maintain"},
        "admin": role == "admin",
    }
    body = {
        "permission": _COARSE.get(role, role),
        "role_name": role,
        "user": {**accounts.user(world, account), "permissions": permissions, "role_name": role},
    }
    return Answer(body=body)


async def get_rate_limit(call: Call) -> Answer:
    """The budget; the forge never runs out by itself."""
    reset = int(call.stage.world.clock.now()) + 3600
    core = {"limit": 5000, "remaining": 4999, "used": 1, "reset": reset}
    search = {"limit": 30, "remaining": 30, "used": 0, "reset": reset}
    return Answer(body={"resources": {"core": core, "search": search}, "rate": core})


ROUTES = [
    Route("GET", "/repos/{owner}/{repo}", get_repository, "metadata=read"),
    Route("GET", "/users/{login}", get_user, "anyone"),
    Route("GET", "/repos/{owner}/{repo}/collaborators/{login}/permission", get_permission, "metadata=read"),
    Route("GET", "/rate_limit", get_rate_limit, "anyone"),
]
