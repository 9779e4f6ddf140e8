"""Where definitions begin in source code: one line-anchored pattern a language, linear on hostile text.

The groups of a pattern are the names that it may find; a match has one at most.
"""

import re
from collections.abc import Iterator
from typing import Final

_MODIFIERS: Final = (
    r"(?:(?:public|private|protected|internal|static|final|abstract|sealed|open|data|override|partial|"
    r"readonly|inline|suspend|async|default|native|synchronized|virtual|export|declare|implicit|case|"
    r"fileprivate|mutating|operator|extern|unsafe|const|companion)[ \t]+)"
)
_PYTHON: Final = r"[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)"
_SCRIPT: Final = (
    rf"[ \t]*{_MODIFIERS}*(?:function\b[ \t]*\*?|class|interface|enum|namespace|type)[ \t]+([\w$]+)",
    (
        r"[ \t]*(?:export[ \t]+)?(?:const|let|var)[ \t]+([\w$]+)[^=\n]{0,200}=[ \t]*(?:async\b[ \t]*)?"
        r"(?:function\b|class\b|\([^()\n]{0,300}\)[^=\n]{0,100}=>|[\w$]+[ \t]*=>)"
    ),
    (
        rf"[ \t]+{_MODIFIERS}*(?:[gs]et[ \t]+)?(?!(?:if|for|while|switch|catch|return|with)\b)([\w$#]+)"
        r"[ \t]*\([^;\n]{0,300}\)[^;{\n]{0,100}\{[ \t]*$"
    ),
)
_GO: Final = (r"func[ \t]+(?:\([^)\n]{0,200}\)[ \t]*)?(\w+)", r"type[ \t]+(\w+)")
_RUST: Final = (
    (
        r"[ \t]*(?:pub(?:\([^)\n]{0,60}\))?[ \t]+)?"
        r"(?:(?:async|const|unsafe|extern(?:[ \t]+\"[^\"\n]{0,40}\")?)[ \t]+)*"
        r"(?:fn|struct|enum|trait|mod|union|type|macro_rules!)[ \t]+(\w+)"
    ),
    r"[ \t]*(?:unsafe[ \t]+)?impl\b[^\n{]{1,200}\{",
)
_CLASSES: Final = (
    (
        rf"[ \t]*{_MODIFIERS}*(?:class|interface|@interface|enum|record|object|struct|trait|protocol|"
        r"extension|actor|namespace)[ \t]+(\w[\w.]*)"
    ),
    rf"[ \t]*{_MODIFIERS}*(?:fun|func|def)[ \t]+(?:<[^>\n]{{0,80}}>[ \t]*)?([\w.]+)",
    rf"[ \t]+{_MODIFIERS}+[\w<>\[\],.?]{{1,80}}(?:[ \t][\w<>\[\],.?]{{1,80}}){{0,3}}[ \t]+(\w+)[ \t]*\(",
)
_C: Final = (
    (
        r"(?!(?:if|for|while|switch|return|else|do|case|goto|typedef|using)\b)[A-Za-z_]"
        r"[\w \t*&:<>,~]{0,160}?[ \t*&]([\w:~]+)[ \t]*\([^;\n]{0,300}$"
    ),
    r"[ \t]*(?:typedef[ \t]+)?(?:struct|class|enum(?:[ \t]+class)?|union|namespace)[ \t]+(\w+)[^;\n]{0,160}$",
    r"#[ \t]*define[ \t]+(\w+)",
)
_PHP: Final = (
    rf"[ \t]*{_MODIFIERS}*(?:function[ \t]+&?|class[ \t]+|interface[ \t]+|trait[ \t]+|enum[ \t]+)(\w+)",
)
_SOURCES: Final[dict[str, tuple[str, ...]]] = {
    "py pyi pyx": (_PYTHON,),
    "js jsx mjs cjs ts tsx mts cts vue svelte": _SCRIPT,
    "go": _GO,
    "rs": _RUST,
    "java kt kts cs scala swift groovy dart": _CLASSES,
    "c h cc cpp cxx hh hpp hxx m mm": _C,
    "rb rake": (r"[ \t]*(?:def[ \t]+(?:self\.)?|class[ \t]+|module[ \t]+)([\w:?!]+)",),
    "php": _PHP,
    "sh bash zsh": (r"[ \t]*function[ \t]+([\w:.-]+)", r"[ \t]*([\w:.-]+)[ \t]*\(\)"),
    "ex exs": (r"[ \t]*def(?:p|module|macro|macrop|protocol|impl)?[ \t]+([\w.?!]+)",),
    "lua": (r"[ \t]*(?:local[ \t]+)?function[ \t]+([\w.:]+)",),
    "sql": (r"(?i:create)[ \t]+(?:[A-Za-z]+[ \t]+){0,4}([\w.\"`]+)",),
    "proto": (r"[ \t]*(?:message|service|enum|rpc)[ \t]+(\w+)",),
    "tf": (r"(?:resource|data|module|variable|output)[ \t]+(\"[^\n{]{1,160})",),
    "md markdown": (r"#{1,6}[ \t]+([^\n]{1,200})",),
    "toml ini cfg": (r"\[{1,2}([^\]\n]{1,160})\]",),
}
_BY_SUFFIX: Final = {
    suffix: re.compile("^(?:" + "|".join(sources) + ")", re.MULTILINE)
    for suffixes, sources in _SOURCES.items()
    for suffix in suffixes.split()
}
_NOT_CALLED: Final = frozenset({"md", "markdown", "toml", "ini", "cfg", "sql", "tf"})
CODE_SUFFIXES: Final = frozenset(_BY_SUFFIX) - _NOT_CALLED
"""The languages whose definitions are called by name from elsewhere."""


def definitions_of(name: str) -> re.Pattern[str] | None:
    """The pattern of definitions for the file *name*, or None for a language that is not known."""
    return _BY_SUFFIX.get(suffix_of(name))


def numbered(name: str, text: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Each definition in *text*, that of the file *name*, with the number of the line where it begins."""
    pattern = definitions_of(name)
    number, counted_to = 1, 0
    for match in pattern.finditer(text) if pattern else ():
        number += text.count("\n", counted_to, match.start())
        counted_to = match.start()
        yield number, match


def suffix_of(name: str) -> str:
    """What follows the last dot of a file's *name*, in lower case."""
    return name.rpartition(".")[2].lower() if "." in name else ""
