"""What the schema of an effect cannot say: one line, a place that a file can have, an order of lines."""

from typing import Final

from bot.domain import paths
from bot.domain.effects import Finding, Review, Severity
from bot.domain.values import Json

MAX_SHOWN_LABELS: Final = 40
_ORDER: Final = {severity: place for place, severity in enumerate(Severity)}


def is_one_line(text: str) -> bool:
    """Whether *text* has no line end of any kind."""
    return len(text.splitlines()) <= 1


def review_problems(given: Json) -> list[str]:
    """What is wrong with the arguments of `submit_review` that fit their schema, one sentence each."""
    found = [] if given["summary"].strip() else ["summary must not be blank."]
    for index, finding in enumerate(given["findings"]):
        found += [f"`findings[{index}]`: {problem}" for problem in _finding_problems(finding)]
    return found


def review(given: Json) -> Review:
    """The review that these arguments describe, the most severe and surest findings first."""
    findings = [_finding(each) for each in given["findings"]]
    findings.sort(key=lambda each: (_ORDER[each.severity], -each.confidence))
    return Review(given["summary"].strip(), tuple(findings))


def _finding(given: Json) -> Finding:
    return Finding(
        path="/".join(paths.split(given["path"])),
        line=given["line"],
        severity=Severity(given["severity"]),
        confidence=given["confidence"],
        title=given["title"].strip(),
        evidence=given["evidence"].strip(),
        end_line=given.get("end_line"),
        suggestion=given.get("suggestion"),
    )


def _finding_problems(given: Json) -> list[str]:
    found = [f"{name} must not be blank." for name in ("title", "evidence") if not given[name].strip()]
    if not is_one_line(given["title"]):
        found.append("title must be one line.")
    if given.get("end_line", given["line"]) < given["line"]:
        found.append("end_line must not come before line.")
    try:
        is_file = bool(paths.split(given["path"])) and is_one_line(given["path"])
    except paths.RefusedPath:
        is_file = False
    return found if is_file else [*found, "path must be a file's path from the repository's root."]
