"""All REST operations of the forge."""

from bot.standin.forge.call import Route
from bot.standin.forge.routes import (
    app,
    checks,
    comments,
    contents,
    hooks,
    issues,
    objects,
    pulls,
    refs,
    repos,
    reviews,
)

ROUTES: list[Route] = [
    *app.ROUTES,
    *hooks.ROUTES,
    *repos.ROUTES,
    *issues.ROUTES,
    *comments.ROUTES,
    *refs.ROUTES,
    *objects.ROUTES,
    # Before the commits, whose references may hold slashes.
    *checks.ROUTES,
    *contents.ROUTES,
    *pulls.ROUTES,
    *reviews.ROUTES,
]
