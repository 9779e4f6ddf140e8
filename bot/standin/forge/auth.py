"""Who is calling: App JWTs, installation tokens, and what they may do."""

import base64
import binascii
from typing import Any

import jwt

from bot.standin.forge import refusals
from bot.standin.forge.permissions import allows
from bot.standin.forge.state import Installation, Repository, Token, User
from bot.standin.forge.world import World

# https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
_MAX_JWT_SECONDS = 600
_CLOCK_LEEWAY_SECONDS = 30
SUSPENDED = "This installation has been suspended"


def bearer(authorization: str | None) -> str | None:
    """The credential of an `Authorization: Bearer|token …` header, or None when there is none."""
    if not authorization:
        return None
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() not in {"bearer", "token"}:
        raise refusals.unauthorized()
    return value.strip()


def basic(authorization: str | None) -> tuple[str, str] | None:
    """User and password of a Basic header; None when there is none or it cannot be read."""
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None


def check_app(world: World, credential: str | None) -> None:
    """Accept a valid JWT of the App; raises a 401 refusal, or 404 for another App's id."""
    claims = _claims(world, credential or "")
    now = world.clock.now()
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int) or issued > now + _CLOCK_LEEWAY_SECONDS:
        raise refusals.unauthorized(
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
        )
    if not isinstance(expires, int) or expires <= now:
        raise refusals.unauthorized("'Expiration time' claim ('exp') must be a numeric value in the future")
    if expires > now + _MAX_JWT_SECONDS:
        raise refusals.unauthorized("'Expiration time' claim ('exp') is too far in the future")
    if str(claims.get("iss")) != str(world.app.id):
        raise refusals.not_found("Integration not found")


def _claims(world: World, credential: str) -> dict[str, Any]:
    for key in world.app.public_keys:
        try:
            return jwt.decode(
                credential,
                key,
                algorithms=["RS256"],
                options={"verify_exp": False, "verify_iat": False, "verify_iss": False, "verify_nbf": False},
            )
        except jwt.InvalidTokenError:
            continue
    raise refusals.unauthorized("A JSON web token could not be decoded")


def find_token(world: World, credential: str | None) -> Token:
    """The valid installation token; raises 401 for any other, 403 when the installation is suspended."""
    if credential is None:
        raise refusals.unauthorized("Requires authentication")
    token = world.tokens.get(credential)
    if token is None or token.is_revoked or token.expires_at <= world.clock.now():
        raise refusals.unauthorized()
    installation = installation_of(world, token)
    if installation.suspended_at is not None:
        raise refusals.forbidden(SUSPENDED)
    return token


def installation_of(world: World, token: Token) -> Installation:
    """The installation that a token belongs to; raises 401 when it is no more."""
    try:
        return world.installations[token.installation_id]
    except KeyError:
        raise refusals.unauthorized() from None


def reaches(world: World, token: Token, repository: Repository) -> bool:
    """Whether a token is for a repository."""
    covered = world.covers(installation_of(world, token), repository)
    return covered and (token.repository_ids is None or repository.id in token.repository_ids)


def check_permissions(token: Token, needs: str) -> None:
    """Raise a 403 refusal unless one of the alternatives (`a=read,b=write; c=write`) is held."""
    for alternative in needs.split(";"):
        pairs = [pair.strip().partition("=") for pair in alternative.split(",")]
        if all(allows(token.permissions, name, level) for name, _, level in pairs):
            return
    raise refusals.forbidden(accepted=needs)


def git_account(world: World, authorization: str | None) -> Token | User | None:
    """Who speaks git: an installation token, a person's token; None when nobody. Raises 401, 403."""
    if not authorization:
        return None
    pair = basic(authorization)
    if pair is None:
        raise refusals.unauthorized()
    user, password = pair
    person = world.personal_tokens.get(password)
    if person is not None:
        return person
    if user != "x-access-token":
        raise refusals.unauthorized()
    return find_token(world, password)
