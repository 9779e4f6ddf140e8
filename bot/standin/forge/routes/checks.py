"""Check runs of the App."""

from bot.standin.forge import bodies, refusals
from bot.standin.forge.call import Answer, Call, Json, Route
from bot.standin.forge.shapes import reviews
from bot.standin.forge.state import CheckRun

_STATUSES = ("queued", "in_progress", "completed")
_CONCLUSIONS = ("action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out")
_MAX_SUMMARY_CHARS = 65_535  # https://docs.github.com/rest/checks/runs


async def create_check_run(call: Call) -> Answer:
    """A new check run on a commit; GitHub makes another one for each request."""
    body, world = call.json(), call.stage.world
    sha = bodies.required_text(body, "head_sha", "CheckRun")
    if await call.bare.sha(sha) is None:
        raise refusals.unprocessable(f"No commit found for SHA: {sha}")
    run = CheckRun(
        id=world.new_id("check_run"),
        suite_id=world.new_id("check_suite"),
        name=bodies.required_text(body, "name", "CheckRun"),
        head_sha=sha,
        external_id=bodies.optional_text(body, "external_id", "CheckRun") or "",
        started_at=world.clock.now(),
        visible_at=call.visible_at,
    )
    _apply(call, run, body)
    call.repository.check_runs.append(run)
    return Answer(201, reviews.check_run(world, call.repository, run))


async def update_check_run(call: Call) -> Answer:
    """Change status, conclusion and output."""
    run = _found(call)
    _apply(call, run, call.json())
    return Answer(body=reviews.check_run(call.stage.world, call.repository, run))


async def get_check_run(call: Call) -> Answer:
    """One check run."""
    return Answer(body=reviews.check_run(call.stage.world, call.repository, _found(call)))


async def list_check_runs(call: Call) -> Answer:
    """The check runs of a commit, newest first; filter `check_name`."""
    world, name = call.stage.world, call.query.get("check_name")
    sha = await call.bare.sha(call.match["ref"])
    if sha is None:
        raise refusals.unprocessable(f"No commit found for SHA: {call.match['ref']}")
    seen = [
        reviews.check_run(world, call.repository, one)
        for one in reversed(call.repository.check_runs)
        if one.head_sha == sha and name in {None, one.name} and one.visible_at <= world.clock.now()
    ]
    page, headers = call.page(seen)
    return Answer(body={"total_count": len(seen), "check_runs": page}, headers=headers)


def _found(call: Call) -> CheckRun:
    wanted, now = call.number("check_run_id"), call.stage.world.clock.now()
    for run in call.repository.check_runs:
        if run.id == wanted and run.visible_at <= now:
            return run
    raise refusals.not_found()


def _apply(call: Call, run: CheckRun, body: Json) -> None:
    conclusion = bodies.choice(body, "conclusion", "CheckRun", _CONCLUSIONS)
    status = bodies.choice(body, "status", "CheckRun", _STATUSES) or run.status
    output = body.get("output") or {}
    if len(str(output.get("summary", ""))) > _MAX_SUMMARY_CHARS:
        raise refusals.invalid("CheckRun", "summary", "custom", "summary is too long")
    if status == "completed" and conclusion is None:
        raise refusals.invalid("CheckRun", "conclusion", "missing_field")
    run.status = "completed" if conclusion else status
    run.conclusion = conclusion
    run.completed_at = call.stage.world.clock.now() if conclusion else None
    run.title, run.summary = output.get("title", run.title), output.get("summary", run.summary)


_REPOSITORY = "/repos/{owner}/{repo}"
ROUTES = [
    Route("POST", _REPOSITORY + "/check-runs", create_check_run, "checks=write"),
    Route("PATCH", _REPOSITORY + "/check-runs/{check_run_id}", update_check_run, "checks=write"),
    Route("GET", _REPOSITORY + "/check-runs/{check_run_id}", get_check_run, "checks=read"),
    Route("GET", _REPOSITORY + "/commits/{ref:[^/]+}/check-runs", list_check_runs, "checks=read"),
]
