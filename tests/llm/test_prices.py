"""The table of names, prices and limits, and what a call costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config_forms import MODEL_NAMES
from bot.domain.values import Usage
from bot.llm import prices
from bot.llm.prices import MODELS, Catalogue, ModelInfo

_CHEAP_READS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1")
TABLE = Catalogue()
TOKENS = st.integers(0, 400_000)


@pytest.mark.parametrize(("alias", "name"), MODEL_NAMES.items())
def test_an_alias_is_the_newest_of_its_family(alias: str, name: str) -> None:
    assert TABLE.resolve(alias) == TABLE.resolve(name)
    assert name.endswith("5-5")


def test_an_unknown_model_has_no_price_and_costs_nothing_that_we_know() -> None:
    info = TABLE.resolve("house-model-1")
    assert (info.name, info.price) == ("house-model-1", None)
    assert prices.cost_micro_usd(info, Usage(10**6, 10**6)) == 0
    assert prices.worst_cost_micro_usd(info, 10**6, 10**6) == 0


@pytest.mark.parametrize(
    ("name", "input_usd", "output_usd", "read_usd", "write_usd"),
    [
        ("claude-opus-5-5", 4, 20, 0.20, 5.0),
        ("claude-sonnet-5-5", 2, 10, 0.10, 2.5),
        ("claude-opus-5", 5, 25, 0.50, 6.25),
        ("claude-sonnet-5", 2, 10, 0.20, 2.5),
        ("claude-haiku-4-5", 1, 5, 0.10, 1.25),
        ("claude-fable-5-1", 10, 50, 0.25, 12.5),
    ],
)
def test_a_million_tokens_of_each_kind_cost_what_the_page_says(
    name: str, input_usd: float, output_usd: float, read_usd: float, write_usd: float
) -> None:
    million = 10**6
    kinds = [
        Usage(input_tokens=million),
        Usage(output_tokens=million),
        Usage(cache_read_tokens=million),
        Usage(cache_write_tokens=million),
    ]
    costs = [prices.cost_micro_usd(MODELS[name], usage) for usage in kinds]
    assert costs == [round(usd * million) for usd in (input_usd, output_usd, read_usd, write_usd)]


@pytest.mark.parametrize(
    ("name", "share"), [("claude-opus-5-5", 20), ("claude-sonnet-5-5", 20), ("claude-fable-5-1", 40)]
)
def test_what_is_read_from_the_cache_has_the_share_of_its_model(name: str, share: int) -> None:
    price = MODELS[name].price
    assert price is not None
    assert price.cache_read * share == price.input
    others = [info.price for info in MODELS.values() if info.name not in (name, *_CHEAP_READS)]
    assert all(other.cache_read * 10 == other.input for other in others if other)


def test_a_date_behind_a_name_is_kept_and_the_price_is_that_of_the_name() -> None:
    dated = TABLE.resolve("claude-haiku-4-5-20251001")
    assert (dated.name, dated.price) == ("claude-haiku-4-5-20251001", MODELS["claude-haiku-4-5"].price)
    assert TABLE.resolve("claude-haiku-4-5-2025").price is None


def test_a_catalogue_tells_costs_by_name() -> None:
    assert TABLE.cost("haiku", Usage(input_tokens=10)) == 1
    assert TABLE.worst("sonnet", 100, 10) == 350


def test_an_hour_in_the_cache_costs_twice_the_input() -> None:
    assert all(info.price.cache_write_1h == 2 * info.price.input for info in MODELS.values() if info.price)


@pytest.mark.parametrize(
    ("prompt", "cost"),
    [
        (Usage(input_tokens=100_000, output_tokens=1_000), 10_500),
        (Usage(input_tokens=100_001, output_tokens=1_000), 52_501),
        (Usage(cache_read_tokens=100_001, output_tokens=1_000), 7_501),
        (Usage(input_tokens=1, cache_write_tokens=50_000, cache_read_tokens=50_000), 33_751),
    ],
)
def test_a_long_prompt_makes_the_whole_haiku_request_dearer(prompt: Usage, cost: int) -> None:
    assert prices.cost_micro_usd(TABLE.resolve("haiku"), prompt) == cost


def test_a_part_of_a_micro_usd_is_a_whole_one() -> None:
    assert prices.cost_micro_usd(TABLE.resolve("haiku"), Usage(input_tokens=1)) == 1


def test_limits_are_those_of_the_models_page() -> None:
    assert (TABLE.resolve("opus").context_tokens, TABLE.resolve("opus").max_output_tokens) == (
        1_000_000,
        128_000,
    )
    small = TABLE.resolve("claude-haiku-4-5")
    assert (small.context_tokens, small.max_output_tokens) == (200_000, 64_000)


@given(
    st.sampled_from(list(MODELS.values())),
    TOKENS,
    TOKENS,
    TOKENS,
    st.integers(0, 128_000),
    st.integers(0, 1_000),
)
def test_the_worst_cost_covers_every_bill_for_the_request(
    info: ModelInfo, fresh: int, written: int, read: int, output: int, unused: int
) -> None:
    bill = Usage(fresh, output, written, read)
    worst = prices.worst_cost_micro_usd(info, fresh + written + read, output + unused)
    assert worst >= prices.cost_micro_usd(info, bill)


@given(st.sampled_from(list(MODELS.values())), TOKENS, TOKENS, TOKENS)
def test_a_larger_request_never_has_a_smaller_worst_cost(
    info: ModelInfo, tokens: int, more: int, output: int
) -> None:
    assert prices.worst_cost_micro_usd(info, tokens + more, output) >= prices.worst_cost_micro_usd(
        info, tokens, output
    )
