"""The file of AGENT_MODELS_FILE: prices and limits of models, in TOML with a closed schema."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from bot.config_forms import BadFile, BadValue, model_name

UNKNOWN_CONTEXT_TOKENS: Final = 200_000
UNKNOWN_MAX_OUTPUT_TOKENS: Final = 32_000
PICO_USD_PER_USD_A_MILLION: Final = 1_000_000
"""Of a price: $1 for a million tokens is this many pico-USD for one."""
_MAX_FILE_BYTES: Final = 65_536
_MAX_TOKENS: Final = 100_000_000
_MIN_USD: Final = Decimal("0.000001")
_MAX_USD: Final = 10_000
_MAX_FACTOR: Final = 100
_PRICES: Final = ("input_usd", "output_usd", "cache_read_usd", "cache_write_usd")
_TOKENS: Final = ("context_tokens", "max_output_tokens", "long_prompt_tokens")
_KEYS: Final = (*_PRICES, *_TOKENS, "long_prompt_factor")
_PLAIN: Final = re.compile(r"[\w-]+")
_Fault = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of the file; `prices` are pico-USD a token of input, output, cache read, cache write."""

    name: str
    prices: tuple[int, int, int, int] | None = None
    context_tokens: int = UNKNOWN_CONTEXT_TOKENS
    max_output_tokens: int = UNKNOWN_MAX_OUTPUT_TOKENS
    long_prompt_tokens: int | None = None
    long_prompt_factor: Fraction = Fraction(1)


def models_file(text: str) -> str:
    """Read the file that *text* names, and return what it holds.

    Raises:
        BadValue: It cannot be read, or (as BadFile) is not what `parse` takes; with all mistakes.
    """
    try:
        with Path(text).expanduser().open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
        if len(content) > _MAX_FILE_BYTES:
            raise BadValue(f"{text!r} has more than {_MAX_FILE_BYTES:,} bytes", "name a file of models")
        found = content.decode()
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, BadValue):
            raise
        raise BadValue(f"{text!r} cannot be read as text", "name a file that this user may read") from None
    parse(found)
    return found


def parse(text: str) -> tuple[ModelEntry, ...]:
    """The models of a file, in its order.

    Raises:
        BadFile: Something in it cannot be used; with every mistake, its place, and what to write instead.
    """
    # Here, so that a start without such a file does without it.
    import tomllib  # noqa: PLC0415

    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, ArithmeticError, RecursionError) as error:
        raise BadFile(("the file", f"it is no TOML ({error})", "correct it: https://toml.io")) from None
    faults: list[_Fault] = [
        (key, "there is no such key", 'leave only tables like [models."a-name"]')
        for key in document
        if key != "models"
    ]
    models = document.get("models", {})
    if not isinstance(models, dict):
        raise BadFile(*faults, ("models", "it is no table", 'write [models."a-name"]'))
    for name, values in models.items():
        faults += _faults(name, values)
    if faults:
        raise BadFile(*faults)
    return tuple(_entry(name, values) for name, values in models.items())


def _faults(name: str, values: object) -> Iterator[_Fault]:
    """Everything that is wrong with one model."""
    shown = name[:40]
    place = f"models.{shown}" if _PLAIN.fullmatch(shown) else f"models.{shown!r}"
    try:
        model_name(name)
    except BadValue as bad:
        yield place, bad.wrong, "write the model's full name"
    if not isinstance(values, dict):
        yield place, "it is no table", f"write [{place}] and the keys below it"
        return
    for key in values:
        if key not in _KEYS:
            yield f"{place}.{key[:40]}", "there is no such key", f"use only {', '.join(_KEYS)}"
    wrong = [fault for fault in (_wrong(place, key, values) for key in _KEYS) if fault]
    yield from wrong
    if not wrong:
        yield from _contradictions(place, values)


def _wrong(place: str, key: str, values: Mapping[str, Any]) -> _Fault | None:
    """What is wrong with one value by itself."""
    if key not in values:
        return None
    value = values[key]
    if key in _TOKENS:
        is_fit = type(value) is int and 1 <= value <= _MAX_TOKENS
        wanted = f"a whole number of tokens, 1 to {_MAX_TOKENS:,}"
    elif key == "long_prompt_factor":
        is_fit = _is_number(value) and 1 <= value <= _MAX_FACTOR
        wanted = f"by how much the request becomes dearer, a number from 1 to {_MAX_FACTOR}"
    else:
        may_be_free = key not in {"input_usd", "output_usd"}
        is_fit = _is_number(value) and (_MIN_USD <= value <= _MAX_USD or (may_be_free and value == 0))
        wanted = f"US dollars for a million tokens, like 2 or 0.25, at most {_MAX_USD:,}"
        if not may_be_free:
            wanted += "; a model that costs nothing has no prices at all, and a cap on its tokens"
    return (
        None if is_fit else (f"{place}.{key}", f"{str(value)[:40]!r} cannot be used here", f"write {wanted}")
    )


def _is_number(value: object) -> bool:
    return type(value) is int or (isinstance(value, Decimal) and value.is_finite())


def _contradictions(place: str, values: Mapping[str, Any]) -> Iterator[_Fault]:
    """What does not go together, of values that are each right."""
    if ("input_usd" in values) != ("output_usd" in values) or (
        "input_usd" not in values and values.keys() & set(_PRICES)
    ):
        yield place, "of its prices some are missing", "write input_usd and output_usd, or no price at all"
    if ("long_prompt_tokens" in values) != ("long_prompt_factor" in values):
        yield place, "of long_prompt_tokens and long_prompt_factor one is missing", "write both, or neither"
    context = values.get("context_tokens", UNKNOWN_CONTEXT_TOKENS)
    output = values.get("max_output_tokens", UNKNOWN_MAX_OUTPUT_TOKENS)
    if output >= context:
        wrong = f"an answer of {output:,} tokens leaves nothing of {context:,} for the prompt"
        yield f"{place}.max_output_tokens", wrong, "write less than context_tokens"


def _entry(name: str, values: Mapping[str, Any]) -> ModelEntry:
    """A model whose values are right; a price of the cache that is not given is that of fresh input."""
    tokens = {key: values[key] for key in _TOKENS if key in values}
    factor = Fraction(values.get("long_prompt_factor", 1))
    if "input_usd" not in values:
        return ModelEntry(name, **tokens)
    fresh = values["input_usd"]
    return ModelEntry(
        name,
        (
            _pico(fresh),
            _pico(values["output_usd"]),
            _pico(values.get("cache_read_usd", fresh)),
            _pico(values.get("cache_write_usd", fresh)),
        ),
        long_prompt_factor=factor,
        **tokens,
    )


def _pico(usd: Decimal | int) -> int:
    """Dollars for a million tokens as whole pico-USD for one, rounded up: nothing is billed too low."""
    return math.ceil(Fraction(usd) * PICO_USD_PER_USD_A_MILLION)
