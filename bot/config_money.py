"""The settings about money: which models there are, what they cost, and what may be spent."""

from typing import Final

from bot.config_forms import MODEL_NAMES, Option, dollars, full_model_name
from bot.config_models import models_file
from bot.domain.overspend import BudgetKind

_WORK: Final = {"haiku": "light", "sonnet": "usual", "opus": "hard"}

MODEL_OPTIONS: Final = (
    *(
        Option(
            f"AGENT_MODEL_{name.upper()}",
            f"agent_model_{name}",
            full_model_name,
            full_name,
            f"The model that `{name}` ({_WORK[name]} work) stands for: any name that the server knows.",
        )
        for name, full_name in MODEL_NAMES.items()
    ),
    Option(
        "AGENT_MODELS_FILE",
        "agent_models",
        models_file,
        "",
        "A TOML file with prices and limits of further models (docs/budgets.md says how). A model without a "
        "price runs under its agent's cap on tokens.",
    ),
)


def _budget(kind: BudgetKind, default: str, about: str) -> Option:
    """A limit in US dollars."""
    return Option(kind.setting, f"budget_{kind.value}_micro_usd", dollars, default, about)


# The minute: above the dearest single call of the table (a full prompt of claude-fable-5-1 with 16,000
# tokens of answer: $13.30), or that would never be made; below an organization's day, so that whatever runs
# wild is slowed down before it has spent one.
BUDGET_OPTIONS: Final = (
    _budget(
        BudgetKind.JOB,
        "3",
        "Most that one job may cost, all attempts together; an agent may set less. 0: no limit.",
    ),
    _budget(
        BudgetKind.USER_DAY,
        "10",
        "Most that one person's jobs may cost in a day (UTC) in one organization.",
    ),
    _budget(
        BudgetKind.REPOSITORY_DAY,
        "0",
        "Most that the jobs of one repository may cost in a day (UTC); 0: no limit.",
    ),
    _budget(
        BudgetKind.ORGANIZATION_DAY,
        "25",
        "Most that all jobs of one organization may cost in a day (UTC).",
    ),
    _budget(
        BudgetKind.ORGANIZATION_MONTH,
        "200",
        "Most that all jobs of one organization may cost in a month (UTC).",
    ),
    _budget(
        BudgetKind.MINUTE,
        "20",
        "The breaker: most that all jobs together may spend or reserve within 60 s; above it jobs wait.",
    ),
)
