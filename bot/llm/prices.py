"""One dated table of model names, prices, cache multipliers and limits, and the arithmetic on it.

As of 2026-11-22; source: https://platform.claude.com/docs/en/about-claude/pricing (prices, cache
multipliers, long prompts) and https://platform.claude.com/docs/en/about-claude/models/overview (limits).
Prices are whole pico-USD for one token ($1 for a million tokens = 1,000,000), money is whole micro-USD,
rounded up, so that no float ever decides about a budget. Configuration extends the table: `Catalogue.of`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from bot.config import Settings
from bot.config_forms import MODEL_CLASSES, MODEL_NAMES
from bot.config_models import (
    PICO_USD_PER_USD_A_MILLION,
    UNKNOWN_CONTEXT_TOKENS,
    UNKNOWN_MAX_OUTPUT_TOKENS,
    ModelEntry,
    parse,
)
from bot.domain.values import Usage

PICO_USD_PER_MICRO_USD = 1_000_000
_DATED: Final = re.compile(r"-20\d{6}\Z")


@dataclass(frozen=True, slots=True)
class Price:
    """Pico-USD for one token of each kind.

    A request whose whole prompt (fresh, written and read) holds more than `long_prompt_tokens`
    costs `long_prompt_factor` times as much, output included.
    """

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    long_prompt_tokens: int | None = None
    long_prompt_factor: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model; `price` is None for a model that the table does not hold."""

    name: str
    context_tokens: int
    max_output_tokens: int
    price: Price | None


def _price(input_usd: str, output_usd: str, *, read: str) -> Price:
    """A price for a million tokens, by the published multipliers: a write 1.25x, one for an hour 2x."""
    input_ = int(Fraction(input_usd) * PICO_USD_PER_USD_A_MILLION)
    return Price(
        input=input_,
        output=int(Fraction(output_usd) * PICO_USD_PER_USD_A_MILLION),
        cache_read=int(input_ * Fraction(read)),
        cache_write_5m=input_ * 5 // 4,
        cache_write_1h=input_ * 2,
    )


_HAIKU: Final = replace(
    _price("0.10", "0.50", read="0.1"), long_prompt_tokens=100_000, long_prompt_factor=Fraction(5)
)
_TABLE = (
    ModelInfo("claude-opus-5-5", 1_000_000, 128_000, _price("4", "20", read="0.05")),
    ModelInfo("claude-sonnet-5-5", 1_000_000, 128_000, _price("2", "10", read="0.05")),
    ModelInfo("claude-haiku-5-5", 1_000_000, 128_000, _HAIKU),
    ModelInfo("claude-opus-5", 1_000_000, 128_000, _price("5", "25", read="0.1")),
    ModelInfo("claude-sonnet-5", 1_000_000, 128_000, _price("2", "10", read="0.1")),
    ModelInfo("claude-haiku-4-5", 200_000, 64_000, _price("1", "5", read="0.1")),
    ModelInfo("claude-fable-5-1", 1_000_000, 128_000, _price("10", "50", read="0.025")),
)
MODELS = MappingProxyType({info.name: info for info in _TABLE})


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The models that an installation knows, by name, and what its three classes stand for."""

    models: Mapping[str, ModelInfo] = field(default_factory=lambda: MODELS)
    aliases: Mapping[str, str] = field(default_factory=lambda: MODEL_NAMES)

    @classmethod
    def of(cls, settings: Settings) -> "Catalogue":
        """The table, with what the configuration says beside it or in place of it."""
        own = {entry.name: _info(entry) for entry in parse(settings.agent_models)}
        aliases = {name: getattr(settings, f"agent_model_{name}") for name in MODEL_CLASSES}
        return cls({**MODELS, **own}, aliases)

    def resolve(self, name: str) -> ModelInfo:
        """The model behind *name* or its class; an unknown one has no price and cautious limits.

        A name with a date behind it (`-20261007`) is that model's; the date stays in the name.
        """
        full_name = self.aliases.get(name, name)
        found = self.models.get(full_name) or self.models.get(_DATED.sub("", full_name))
        if found is None:
            return ModelInfo(full_name, UNKNOWN_CONTEXT_TOKENS, UNKNOWN_MAX_OUTPUT_TOKENS, None)
        return replace(found, name=full_name)

    def cost(self, name: str, usage: Usage) -> int:
        """Micro-USD that *usage* of a model cost; see `cost_micro_usd`."""
        return cost_micro_usd(self.resolve(name), usage)

    def worst(self, name: str, request_input_tokens: int, max_tokens: int) -> int:
        """Micro-USD that a request can cost at most; see `worst_cost_micro_usd`."""
        return worst_cost_micro_usd(self.resolve(name), request_input_tokens, max_tokens)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The models behind the classes whose price is not known: their jobs run under a cap on tokens."""
        models = dict.fromkeys(self.resolve(name).name for name in self.aliases)
        return tuple(name for name in models if self.resolve(name).price is None)


def _info(entry: ModelEntry) -> ModelInfo:
    """What the configuration says of a model; an hour in its cache costs what five minutes do."""
    price = None
    if entry.prices is not None:
        fresh, output, read, write = entry.prices
        price = Price(fresh, output, read, write, write, entry.long_prompt_tokens, entry.long_prompt_factor)
    return ModelInfo(entry.name, entry.context_tokens, entry.max_output_tokens, price)


def cost_micro_usd(info: ModelInfo, usage: Usage) -> int:
    """What *usage* cost, cache writes being 5-minute ones (we ask for no others); 0 without a price."""
    price = info.price
    if price is None:
        return 0
    pico = (
        usage.input_tokens * price.input
        + usage.cache_write_tokens * price.cache_write_5m
        + usage.cache_read_tokens * price.cache_read
        + usage.output_tokens * price.output
    )
    return _round_up(pico * _factor(price, usage.prompt_tokens))


def worst_cost_micro_usd(info: ModelInfo, request_input_tokens: int, max_tokens: int) -> int:
    """The most that a request can cost: every input token at the dearest rate we use, the output full.

    The dearest rate is the 5-minute cache write (we never ask for 1-hour entries). 0 without a price.
    """
    price = info.price
    if price is None:
        return 0
    dearest = max(price.input, price.cache_write_5m, price.cache_read)
    pico = request_input_tokens * dearest + max_tokens * price.output
    return _round_up(pico * _factor(price, request_input_tokens))


def _factor(price: Price, prompt_tokens: int) -> Fraction:
    """By how much a prompt of this length makes the whole request dearer."""
    is_long = price.long_prompt_tokens is not None and prompt_tokens > price.long_prompt_tokens
    return price.long_prompt_factor if is_long else Fraction(1)


def _round_up(pico_usd: Fraction) -> int:
    """Whole micro-USD that cover *pico_usd*."""
    return math.ceil(pico_usd / PICO_USD_PER_MICRO_USD)
