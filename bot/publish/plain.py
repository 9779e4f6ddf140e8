"""Plain text (titles, commit messages) in which nothing acts: no Markdown can hold it, so it is reworded."""

import re
from typing import Final

# GitHub and others skip checks for these: https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs
_CI_DIRECTIVE: Final = re.compile(r"(?i)\[[ \t]*((?:skip|no)[ _-]+[a-z]+|[a-z]+[ _-]+skip)[ \t]*\]")
_RULES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://"), ""),
    (re.compile(r"([@\uff20\ufe6b])(?=[A-Za-z0-9])"), r"\1 "),
    (re.compile(r"([#\uff03])(?=\d)"), r"\1 "),
    (re.compile(r"(?i)\b(GH)-(?=\d)"), r"\1 "),
    (_CI_DIRECTIVE, r"(\1)"),
    # A trailer is a word with a hyphen and a colon; ours are written by the host alone.
    (re.compile(r"(?m)^([ \t]*[A-Za-z]+(?:-[A-Za-z]+)+)[ \t]*:"), r"\1 -"),
    (re.compile(r"(?m)^([ \t]*)(/[A-Za-z]\S*)"), r'\1"\2"'),
    (
        re.compile(
            r"(?i)\b(bors):?[ \t]+(?=(?:r|d|p|try|merge|delegate|retry|ping|cancel|single|treeclosed)\b)"
        ),
        r'"\1" ',
    ),
)


def plain(text: str) -> str:
    """*text* without mentions, references, URLs, CI directives, trailers and commands to other bots.

    The words stay, with a space or quotes where they would act. The second time nothing changes.
    """
    for pattern, put in _RULES:
        text = pattern.sub(put, text)
    return text
