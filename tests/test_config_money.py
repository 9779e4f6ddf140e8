"""Money in the settings: limits in dollars, classes of models, and a file of prices."""

import contextlib
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.agents.definition import Limits
from bot.config import Role, Settings, load
from bot.config_forms import BadFile
from bot.config_models import ModelEntry, parse
from bot.domain.budget import BudgetKind, Budgets
from bot.errors import ConfigError
from bot.llm import prices
from tests.test_config import only_problem

WHOLE = """
[models."house/model-1"]
input_usd = 0.28
output_usd = 1
cache_read_usd = 0.0028
cache_write_usd = 0
context_tokens = 131072
max_output_tokens = 8192
long_prompt_tokens = 32000
long_prompt_factor = 1.5

[models.local]
context_tokens = 32000
max_output_tokens = 4000
"""


def read(text: str, tmp_path: Path, **more: str) -> Settings:
    """Settings with a file of models that holds *text*."""
    file = tmp_path / "models.toml"
    file.write_text(text)
    return load({"AGENT_MODELS_FILE": str(file), **more}, role=Role.MIGRATE)


def faults_of(text: str) -> dict[str, str]:
    """What is wrong with a file: the place, and what to do."""
    with pytest.raises(BadFile) as caught:
        parse(text)
    return {place: f"{wrong}; {remedy}" for place, wrong, remedy in caught.value.faults}


# ── limits ───────────────────────────────────────────────────────────────────────────────────────
def test_the_limits_are_those_of_the_design() -> None:
    assert load({}, role=Role.MIGRATE).budgets == Budgets(
        job=3_000_000,
        user_day=10_000_000,
        repository_day=0,
        organization_day=25_000_000,
        organization_month=200_000_000,
        minute=20_000_000,
    )


@pytest.mark.parametrize("kind", BudgetKind)
def test_each_limit_has_the_setting_that_a_refusal_names(kind: BudgetKind) -> None:
    found = load({kind.setting: "0.123456"}, role=Role.MIGRATE).budgets
    assert found == replace(load({}, role=Role.MIGRATE).budgets, **{kind.value: 123_456})


@pytest.mark.parametrize("text", ["-1", "$3", "1e3", "0.0000001", "nan", "three", "12345678"])
def test_what_is_no_amount_is_refused_with_the_form(text: str) -> None:
    assert "0 for no limit" in only_problem("ISSUEWRIGHT_BUDGET_JOB_USD", text).remedy


def test_the_breaker_lets_the_dearest_call_pass_and_holds_before_an_organizations_day() -> None:
    limits = load({}, role=Role.MIGRATE).budgets
    dearest = max(
        prices.worst_cost_micro_usd(info, info.context_tokens, 16_000) for info in prices.MODELS.values()
    )
    assert dearest < limits.minute < limits.organization_day


def test_the_page_repeats_the_defaults_and_its_example_is_one() -> None:
    page = (Path(__file__).parents[1] / "docs" / "budgets.md").read_text()
    limits = load({}, role=Role.MIGRATE).budgets
    for kind in BudgetKind:
        amount = f"${limits.of(kind) // 1_000_000}" if limits.of(kind) else "none"
        assert re.search(rf"^\|[^|]*\| {re.escape(amount)}\b[^|]*\| `{kind.setting}`", page, re.MULTILINE)
    assert f"| {Limits().tokens:,} | `limits.tokens`" in page
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert [entry.name for entry in parse(example)] == ["house/large-2", "local"]


# ── models ───────────────────────────────────────────────────────────────────────────────────────
def test_without_configuration_the_catalogue_is_the_table() -> None:
    assert prices.Catalogue.of(load({}, role=Role.MIGRATE)) == prices.Catalogue()


def test_a_class_may_stand_for_any_model() -> None:
    catalogue = prices.Catalogue.of(load({"AGENT_MODEL_OPUS": "claude-fable-5-1"}, role=Role.MIGRATE))
    assert catalogue.resolve("opus") == prices.MODELS["claude-fable-5-1"]
    assert catalogue.resolve("sonnet") == prices.Catalogue().resolve("sonnet")


def test_the_models_of_classes_without_a_price_can_be_named(tmp_path: Path) -> None:
    assert prices.Catalogue().unpriced == ()
    environ = {"AGENT_MODEL_HAIKU": "local", "AGENT_MODEL_OPUS": "local"}
    assert prices.Catalogue.of(read(WHOLE, tmp_path, **environ)).unpriced == ("local",)


def test_a_class_does_not_stand_for_a_class() -> None:
    assert only_problem("AGENT_MODEL_HAIKU", "sonnet").remedy == "write a model's full name"


def test_a_file_adds_models_with_price_and_limits(tmp_path: Path) -> None:
    settings = read(WHOLE, tmp_path, AGENT_MODEL_SONNET="house/model-1")
    info = prices.Catalogue.of(settings).resolve("sonnet")
    assert (info.name, info.context_tokens, info.max_output_tokens) == ("house/model-1", 131_072, 8_192)
    assert info.price == prices.Price(280_000, 1_000_000, 2_800, 0, 0, 32_000, Fraction(3, 2))
    assert prices.Catalogue.of(settings).worst("sonnet", 32_001, 1_000) == 14_941


def test_a_model_of_the_file_may_have_limits_and_no_price(tmp_path: Path) -> None:
    info = prices.Catalogue.of(read(WHOLE, tmp_path)).resolve("local")
    assert (info.price, info.context_tokens, info.max_output_tokens) == (None, 32_000, 4_000)


def test_a_model_of_the_file_takes_the_place_of_one_of_the_table(tmp_path: Path) -> None:
    text = "[models.claude-opus-5-5]\ninput_usd = 3.5\noutput_usd = 17\n"
    price = prices.Catalogue.of(read(text, tmp_path)).resolve("opus").price
    assert price == prices.Price(3_500_000, 17_000_000, 3_500_000, 3_500_000, 3_500_000)


def test_a_part_of_a_pico_dollar_is_a_whole_one() -> None:
    (entry,) = parse("[models.m]\ninput_usd = 0.0000015\noutput_usd = 1\n")
    assert entry.prices is not None and entry.prices[0] == 2


def test_all_mistakes_of_a_file_are_told_at_once_with_key_and_remedy(tmp_path: Path) -> None:
    text = """
    modles = 1
    [models."a b"]
    [models.free]
    input_usd = 0
    output_usd = true
    [models.half]
    input_usd = 1
    long_prompt_tokens = 10
    [models.odd]
    colour = "red"
    context_tokens = 1.5
    long_prompt_factor = 0.5
    cache_read_usd = -1
    [models.small]
    context_tokens = 1000
    max_output_tokens = 1000
    """
    with pytest.raises(ConfigError) as caught:
        read(text, tmp_path)
    assert [problem.key.removeprefix("AGENT_MODELS_FILE: ") for problem in caught.value.problems] == [
        "modles",
        "models.'a b'",
        "models.free.input_usd",
        "models.free.output_usd",
        "models.half",
        "models.half",
        "models.odd.colour",
        "models.odd.cache_read_usd",
        "models.odd.context_tokens",
        "models.odd.long_prompt_factor",
        "models.small.max_output_tokens",
    ]
    assert all(problem.wrong and problem.remedy for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("models = 1", "models"),
        ("[models]\nm = 1", "models.m"),
        ("[models.m", "the file"),
        ("[models.m]\ninput_usd = nan\noutput_usd = inf", "models.m.input_usd"),
        ("[models.m]\ninput_usd = 1e999999999999999999\noutput_usd = 1", "models.m.input_usd"),
        ("[models.m]\ninput_usd = 1e-999999999999\noutput_usd = 1", "models.m.input_usd"),
        ("[models.m]\ncache_read_usd = 1", "models.m"),
    ],
)
def test_a_mistake_has_its_place(text: str, place: str) -> None:
    assert place in faults_of(text)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"#" * 65_537])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "models.toml"
    if content is not None:
        file.write_bytes(content)
    assert only_problem("AGENT_MODELS_FILE", str(file)).remedy.startswith("name a file")


@given(st.text(alphabet="[]models.\"=\n01.2_ausd-e'{}#", max_size=60))
def test_no_file_whatsoever_breaks_the_reading(text: str) -> None:
    with contextlib.suppress(BadFile):
        assert all(isinstance(entry, ModelEntry) for entry in parse(text))
