"""The models that the stand-in knows, with the limits that it enforces.

Names and limits: https://platform.claude.com/docs/en/about-claude/models/overview, read 2026-11-22.
Smallest cacheable prefixes: https://platform.claude.com/docs/en/build-with-claude/prompt-caching; published
from 512 to 4,096 tokens, and taken as 512 where no figure was at hand.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Model:
    """One model's limits in tokens, and whether `tool_choice` may force a tool."""

    minimum_prefix_tokens: int = 512
    context_tokens: int = 1_000_000
    max_output_tokens: int = 128_000
    is_tool_choice_forcible: bool = True

    def described(self, name: str) -> dict[str, Any]:
        """The model as `GET /v1/models` lists it."""
        return {
            "type": "model",
            "id": name,
            "display_name": name,
            "created_at": "2026-01-01T00:00:00Z",
            "lifecycle": "active",
            "max_input_tokens": self.context_tokens,
            "max_tokens": self.max_output_tokens,
        }


MODELS = {
    "claude-opus-5-5": Model(is_tool_choice_forcible=False),
    "claude-sonnet-5-5": Model(is_tool_choice_forcible=False),
    "claude-haiku-5-5": Model(),
    "claude-opus-5": Model(),
    "claude-opus-4-8": Model(minimum_prefix_tokens=4_096),
    "claude-sonnet-5": Model(),
    "claude-haiku-4-5": Model(minimum_prefix_tokens=4_096, context_tokens=200_000, max_output_tokens=64_000),
    "claude-fable-5-1": Model(is_tool_choice_forcible=False),
}
