"""What a server of the Messages API may be without, and how a request is asked without it.

Three fields of ours are not everywhere: `output_config` (structured output), `cache_control` and `stream`.
A server that refuses one is asked again without it, and never with it again while this process lives. Of
the others there is nothing to miss: tokens are bounded by our own count, so `count_tokens` is not asked;
and tools are not `strict`: their arguments are checked by us in any case, and a strict schema may hold none
of the bounds (lengths, ranges) that ours state, would be one more thing for a server to refuse, and, once
dropped, would change the first bytes of the prompt.
"""

import re
from typing import Any

import orjson

from bot.domain.values import Json, ModelRequest
from bot.llm.failures import Failure

OUTPUT, CACHE, STREAM = "output_config", "cache_control", "stream"
_NAMES = {
    OUTPUT: re.compile(r"output_config|output_format|json_schema|structured output", re.IGNORECASE),
    CACHE: re.compile(r"cache_control|prompt caching", re.IGNORECASE),
    STREAM: re.compile(r"\bstream(ing)?\b", re.IGNORECASE),
}
_UNKNOWN = re.compile(
    r"not permitted|not supported|unsupported|not allowed|not implemented|not available|unknown|unrecogni"
    r"[sz]ed|unexpected|(doesn't|does not|cannot|can't) support|forbidden",
    re.IGNORECASE,
)
_REFUSALS = frozenset({400, 404, 422, 501})
_IN_WORDS = (
    "Answer with one JSON object and nothing else: no words around it, no code fence. "
    "It must be valid against this JSON Schema:\n"
)


class Features:
    """What each model's server turned out to be without; forgotten when the process ends."""

    def __init__(self) -> None:
        """Believe that everything is there."""
        self._missing: dict[str, frozenset[str]] = {}

    def missing(self, model: str) -> frozenset[str]:
        """What not to send to *model*."""
        return self._missing.get(model, frozenset())

    def learn(self, model: str, body: Json, failure: Failure) -> bool:
        """Whether *failure* is about features that *body* used; they are missing from now on.

        Each time at least one more is missing, so that asking again comes to an end.
        """
        if failure.status not in _REFUSALS or not _UNKNOWN.search(failure.message):
            return False
        named = {name for name, words in _NAMES.items() if words.search(failure.message)}
        found = {name for name in named if _uses(body, name)} - self.missing(model)
        self._missing[model] = self.missing(model) | found
        return bool(found)


def parameters(request: ModelRequest, missing: frozenset[str]) -> dict[str, Any]:
    """The request's JSON without what is *missing*; empty lists are left out, as the API refuses them."""
    parameters: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "messages": request.messages,
    }
    system = request.system
    if request.output_schema is not None and OUTPUT in missing:
        words = _IN_WORDS + orjson.dumps(request.output_schema).decode()
        system = [*system, {"type": "text", "text": words}]
    elif request.output_schema is not None:
        schema = _strict(request.output_schema)
        parameters["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    if system:
        parameters["system"] = system
    if request.tools:
        parameters["tools"] = request.tools
    if STREAM not in missing:
        parameters["stream"] = True
    return _without_marks(parameters) if CACHE in missing else parameters


def _strict(schema: Json) -> Json:
    """The schema as structured output takes it: what it does not know (bounds) stands in descriptions."""
    import anthropic

    return anthropic.transform_schema(schema)


def _uses(body: Json, name: str) -> bool:
    """Whether the request holds the field."""
    if name != CACHE:
        return name in body
    blocks = [*body.get("system", ()), *body.get("tools", ())]
    blocks += [block for message in body["messages"] for block in _blocks(message)]
    return any(CACHE in block for block in blocks)


def _without_marks(body: dict[str, Any]) -> dict[str, Any]:
    """A copy without breakpoints; what the blocks hold (a tool's arguments, a schema) is not looked into."""
    bare = {**body, "messages": [_bare_message(message) for message in body["messages"]]}
    for name in ("system", "tools"):
        if name in body:
            bare[name] = [_bare(block) for block in body[name]]
    return bare


def _bare_message(message: Json) -> Json:
    """A message without breakpoints."""
    content = message["content"]
    return message if isinstance(content, str) else {**message, "content": [_bare(part) for part in content]}


def _bare(block: Json) -> Json:
    """A block without a breakpoint."""
    return {name: value for name, value in block.items() if name != CACHE} if CACHE in block else block


def _blocks(message: Json) -> list[Json]:
    """The message's blocks; none where it is one string."""
    return [] if isinstance(message["content"], str) else message["content"]
