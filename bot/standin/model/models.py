"""The models that the stand-in knows, with the limits that it enforces.

Names and limits: https://platform.claude.com/docs/en/about-claude/models/overview, read 2026-11-22.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Model:
    """One model's limits in tokens, and whether `tool_choice` may force a tool."""

    context_tokens: int = 1_000_000
    max_output_tokens: int = 128_000
    is_tool_choice_forcible: bool = True


MODELS = {
    "claude-opus-5-5": Model(is_tool_choice_forcible=False),
    "claude-sonnet-5-5": Model(is_tool_choice_forcible=False),
    "claude-haiku-5-5": Model(),
    "claude-opus-5": Model(),
    "claude-opus-4-8": Model(),
    "claude-sonnet-5": Model(),
    "claude-haiku-4-5": Model(context_tokens=200_000, max_output_tokens=64_000),
    "claude-fable-5-1": Model(is_tool_choice_forcible=False),
}
