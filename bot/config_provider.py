"""The settings about who serves the model: the provider, and where the model is there."""

import re
from collections.abc import Mapping
from typing import Any, Final

from bot.config_forms import BadValue, Option, seconds
from bot.errors import Problem

PROVIDERS: Final = ("anthropic", "bedrock", "vertex", "foundry")
KEYLESS: Final = frozenset({"bedrock", "vertex"})
"""Those that can do without ANTHROPIC_API_KEY: the machine's own credentials serve as well."""
_PLACE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")

_REGION: Final = "name the region in which the model is served"
_NEEDED: Final = {
    "bedrock": {"anthropic_region": _REGION},
    "vertex": {
        "anthropic_region": _REGION,
        "anthropic_project": "name the Google Cloud project that is billed",
    },
    "foundry": {"anthropic_resource": "name the Foundry resource, or set ANTHROPIC_BASE_URL"},
}


def provider(text: str) -> str:
    """Read the name of a provider."""
    name = text.lower()
    if name not in PROVIDERS:
        raise BadValue(f"{text[:40]!r} is not known", f"use {', '.join(PROVIDERS)}")
    return name


def place(text: str) -> str:
    """Read a region, project or resource: it becomes part of an address, and can change no other part."""
    if not _PLACE.fullmatch(text):
        raise BadValue(f"{text[:40]!r} is no such name", "use letters, digits and hyphens")
    return text


def problems(values: Mapping[str, Any]) -> list[Problem]:
    """What the chosen provider needs and *values* (by the fields of Settings) do not hold."""
    name = values.get("anthropic_provider", "anthropic")
    needed = dict(_NEEDED.get(name, {}))
    if "anthropic_base_url" in values:
        needed.pop("anthropic_resource", None)
    wrong = f"it is not set, and ANTHROPIC_PROVIDER={name} needs it"
    return [Problem(f.upper(), wrong, remedy) for f, remedy in needed.items() if f not in values]


PROVIDER_OPTIONS: Final = (
    Option(
        "ANTHROPIC_PROVIDER",
        "anthropic_provider",
        provider,
        "anthropic",
        "Who serves the model: anthropic (or a server like it), bedrock, vertex or foundry (docs/models.md).",
    ),
    Option("ANTHROPIC_REGION", "anthropic_region", place, "", "The region at Bedrock or Vertex."),
    Option("ANTHROPIC_PROJECT", "anthropic_project", place, "", "The Google Cloud project at Vertex."),
    Option("ANTHROPIC_RESOURCE", "anthropic_resource", place, "", "The resource at Foundry."),
    Option(
        "ANTHROPIC_IDLE_SECONDS",
        "anthropic_idle_seconds",
        seconds(zero_allowed=False),
        "90",
        "After how long without a word an answer of the model is given up, and asked for again.",
    ),
)
