"""All REST operations of the forge."""

from bot.standin.forge.call import Route
from bot.standin.forge.routes import app, comments, contents, hooks, issues, objects, pulls, refs, repos

ROUTES: list[Route] = [
    *app.ROUTES,
    *hooks.ROUTES,
    *repos.ROUTES,
    *issues.ROUTES,
    *comments.ROUTES,
    *refs.ROUTES,
    *objects.ROUTES,
    *contents.ROUTES,
    *pulls.ROUTES,
]
