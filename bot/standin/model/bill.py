"""What the answered requests cost, in units of one uncached input token, by session.

A session is a script with one first user message. The multipliers are the caller's: the stand-in knows
no price, so that a test of prices does not compare a table with itself.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

Json = dict[str, Any]
PLAIN: Json = {"input": 1.0, "write_5m": 1.25, "write_1h": 2.0, "read": 0.1, "output": 5.0}
"""What is taken where the caller says nothing: the multipliers published for most models."""
_SUMMED = ("uncached", "written_5m", "written_1h", "read", "output", "input_units", "units", "plain_units")


def report(requests: Iterable[Json], multipliers: Mapping[str, Json] | None = None) -> list[Json]:
    """The sessions in the order in which they began.

    *multipliers* by model, `"*"` for the others: any of `input`, `write_5m`, `write_1h`, `read`, `output`,
    and `long_prompt_tokens` with `long_prompt_factor` (the whole request costs that much more beyond it).
    Each session has `script`, `session`, `requests` (its bills in order) and their sums; `input_units` leave
    the output out, `plain_units` are what the same input would cost without any cache.
    """
    sessions: dict[str, Json] = {}
    for record in requests:
        if "usage" not in record:
            continue
        key = session_of(record)
        session = sessions.setdefault(
            key, {"session": key, "script": record.get("script"), "requests": [], **dict.fromkeys(_SUMMED, 0)}
        )
        one = _bill(record, multipliers or {})
        session["requests"].append(one)
        for name in _SUMMED:
            session[name] += one[name]
    return list(sessions.values())


def session_of(record: Json) -> str:
    """A name for the conversation that *record* belongs to."""
    first = json.dumps(record["body"]["messages"][0], sort_keys=True)
    return f"{record.get('script')}:{hashlib.sha256(first.encode()).hexdigest()[:12]}"


def _bill(record: Json, multipliers: Mapping[str, Json]) -> Json:
    """The bill of one answered request."""
    model, usage = record["body"]["model"], record["usage"]
    rate = {**PLAIN, **multipliers.get("*", {}), **multipliers.get(model, {})}
    kinds = usage.get("cache_creation") or {}
    written = usage.get("cache_creation_input_tokens") or 0
    long_lived = kinds.get("ephemeral_1h_input_tokens") or 0
    counts = {
        "uncached": usage["input_tokens"],
        "written_5m": written - long_lived,
        "written_1h": long_lived,
        "read": usage.get("cache_read_input_tokens") or 0,
    }
    prompt = sum(counts.values())
    limit = rate.get("long_prompt_tokens")
    factor = rate.get("long_prompt_factor", 1) if limit is not None and prompt > limit else 1
    names = {"uncached": "input", "written_5m": "write_5m", "written_1h": "write_1h", "read": "read"}
    input_units = factor * sum(count * rate[names[kind]] for kind, count in counts.items())
    return {
        "id": record["id"],
        "model": model,
        **counts,
        "output": usage["output_tokens"],
        "input_units": input_units,
        "units": input_units + factor * usage["output_tokens"] * rate["output"],
        "plain_units": factor * prompt * rate["input"],
    }
