"""One dated table of model names, prices, cache multipliers and limits, and the arithmetic on it.

As of 2026-11-22; source: https://platform.claude.com/docs/en/about-claude/pricing (prices, cache
multipliers, long prompts) and https://platform.claude.com/docs/en/about-claude/models/overview (limits).
Prices are whole nano-USD for one token ($1 for a million tokens = 1,000), money is whole micro-USD,
rounded up, so that no float ever decides about a budget.
"""

from dataclasses import dataclass

from bot.domain.values import Usage

NANO_USD_PER_MICRO_USD = 1_000
UNKNOWN_CONTEXT_TOKENS = 200_000
UNKNOWN_MAX_OUTPUT_TOKENS = 32_000


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-USD for one token of each kind.

    A request whose whole prompt (fresh, written and read) holds more than `long_prompt_tokens`
    costs `long_prompt_factor` times as much, output included.
    """

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    long_prompt_tokens: int | None = None
    long_prompt_factor: int = 1


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model; `price` is None for a model that the table does not hold."""

    name: str
    context_tokens: int
    max_output_tokens: int
    price: Price | None


def _price(input_: int, output: int, read_per_mille: int, **long_prompt: int) -> Price:
    """A price by the published multipliers: 5-minute write 1.25x, 1-hour write 2x, read as given."""
    return Price(
        input=input_,
        output=output,
        cache_read=input_ * read_per_mille // 1_000,
        cache_write_5m=input_ * 5 // 4,
        cache_write_1h=input_ * 2,
        **long_prompt,
    )


_TABLE = (
    ModelInfo("claude-opus-5-5", 1_000_000, 128_000, _price(4_000, 20_000, 50)),
    ModelInfo("claude-sonnet-5-5", 1_000_000, 128_000, _price(2_000, 10_000, 50)),
    ModelInfo(
        "claude-haiku-5-5",
        1_000_000,
        128_000,
        _price(100, 500, 100, long_prompt_tokens=100_000, long_prompt_factor=5),
    ),
    ModelInfo("claude-opus-5", 1_000_000, 128_000, _price(5_000, 25_000, 100)),
    ModelInfo("claude-sonnet-5", 1_000_000, 128_000, _price(2_000, 10_000, 100)),
    ModelInfo("claude-haiku-4-5", 200_000, 64_000, _price(1_000, 5_000, 100)),
    ModelInfo("claude-fable-5-1", 1_000_000, 128_000, _price(10_000, 50_000, 25)),
)
MODELS = {info.name: info for info in _TABLE}
ALIASES = {"haiku": "claude-haiku-5-5", "sonnet": "claude-sonnet-5-5", "opus": "claude-opus-5-5"}


def resolve(name: str) -> ModelInfo:
    """The model behind *name* or its alias; an unknown one has no price and cautious limits."""
    full_name = ALIASES.get(name, name)
    unknown = ModelInfo(full_name, UNKNOWN_CONTEXT_TOKENS, UNKNOWN_MAX_OUTPUT_TOKENS, None)
    return MODELS.get(full_name, unknown)


def cost_micro_usd(info: ModelInfo, usage: Usage) -> int:
    """What *usage* cost, cache writes being 5-minute ones (we ask for no others); 0 without a price."""
    price = info.price
    if price is None:
        return 0
    nano = (
        usage.input_tokens * price.input
        + usage.cache_write_tokens * price.cache_write_5m
        + usage.cache_read_tokens * price.cache_read
        + usage.output_tokens * price.output
    )
    prompt = usage.input_tokens + usage.cache_write_tokens + usage.cache_read_tokens
    return _round_up(nano * _factor(price, prompt))


def worst_cost_micro_usd(info: ModelInfo, request_input_tokens: int, max_tokens: int) -> int:
    """The most that a request can cost: every input token at the dearest rate we use, the output full.

    The dearest rate is the 5-minute cache write (we never ask for 1-hour entries). 0 without a price.
    """
    price = info.price
    if price is None:
        return 0
    dearest = max(price.input, price.cache_write_5m, price.cache_read)
    nano = request_input_tokens * dearest + max_tokens * price.output
    return _round_up(nano * _factor(price, request_input_tokens))


def _factor(price: Price, prompt_tokens: int) -> int:
    """By how much a prompt of this length makes the whole request dearer."""
    is_long = price.long_prompt_tokens is not None and prompt_tokens > price.long_prompt_tokens
    return price.long_prompt_factor if is_long else 1


def _round_up(nano_usd: int) -> int:
    """Whole micro-USD that cover *nano_usd*."""
    return -(-nano_usd // NANO_USD_PER_MICRO_USD)
