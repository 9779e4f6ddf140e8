"""Secrets that must never come out, and where to look for them in every spelling."""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
from sqlalchemy import select
from yarl import URL

from bot.db.database import Database
from bot.db.tables import metadata
from bot.standin import sample
from bot.standin.forge.plumbing import Bare
from tests.system.rig import MODEL_KEY, WEBHOOK_SECRET, Rig

CUT_CHARS: Final = 10
_LONG_CHARS: Final = 28
_MIDDLE_LINES: Final = slice(3, 9)
_JWT: Final = re.compile(rb"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10}")
SECOND_WEBHOOK_SECRET: Final = "canary-rotated-Tq3vX8mZ1kLr6Yw9Jd2Hs5Bn7Pc4Gf0a-webhook"


def spellings(secret: bytes) -> dict[str, bytes]:
    """*secret* without its first and last 10 characters, in each way in which it may be written."""
    core = secret[CUT_CHARS:-CUT_CHARS] if len(secret) >= _LONG_CHARS else secret
    found = {
        "plain": core,
        "reversed": core[::-1],
        "hex": core.hex().encode(),
        "HEX": core.hex().upper().encode(),
        "escaped": repr(core)[2:-1].encode(),
    }
    for shift in range(3):
        padded = b"\0" * shift + core
        whole = padded[: len(padded) - len(padded) % 3]
        for name, encode in (("base64", base64.b64encode), ("urlsafe", base64.urlsafe_b64encode)):
            found[f"{name}+{shift}"] = encode(whole)[4 if shift else 0 :]
    return found


def found_in(places: Mapping[str, bytes], secrets: Mapping[str, bytes]) -> list[str]:
    """Each secret that stands in a place, as `secret (spelling) in place`; never its value."""
    needles = [(name, how, text) for name, value in secrets.items() for how, text in spellings(value).items()]
    hits = [
        f"{name} ({how}) in {place}"
        for place, content in places.items()
        for name, how, text in needles
        if text in content
    ]
    return hits + [f"a signed token in {place}" for place, content in places.items() if _JWT.search(content)]


async def secrets_of(product: Rig) -> dict[str, bytes]:
    """Every secret of an installation, by name; the tokens that the forge has minted so far too."""
    lines = product.forge.private_key.splitlines()[_MIDDLE_LINES]
    held = {
        "webhook secret": WEBHOOK_SECRET.encode(),
        "second webhook secret": SECOND_WEBHOOK_SECRET.encode(),
        "model key": MODEL_KEY.encode(),
        **{f"private key, line {number}": line.encode() for number, line in enumerate(lines)},
    }
    held |= {f"token {one.id}": value.encode() for value, one in product.forge.world.tokens.items()}
    for row in await product.rows("SELECT name, value FROM secrets"):
        held[f"key {row['name']}"] = bytes(row["value"])
    return held


async def places_of(product: Rig) -> dict[str, bytes]:
    """Everything that has come out of an installation: what was said, stored, logged and sent."""
    places = dict(_logs(product.folder))
    places |= {f"table {name}": content async for name, content in _tables(product.database_url)}
    repository = product.forge.world.repository(sample.REPOSITORY)
    for number, thread in repository.threads.items():
        said = [thread.title, thread.body or "", *(comment.body for comment in thread.comments)]
        places[f"thread {number}"] = "\n".join(said).encode()
    bare = Bare(repository.path)
    places["git objects"] = await bare.run("cat-file", "--batch-all-objects", "--batch")
    places["git refs"] = await bare.run("for-each-ref")
    for exchange in product.forge.requests:
        asked = f"{exchange.path}?{exchange.query} {exchange.request_headers}".encode()
        places[f"request {exchange.number} to the forge"] = asked + exchange.request_body
    for number, request in enumerate(product.model.requests):
        places[f"request {number} to the model"] = json.dumps(request["body"], ensure_ascii=False).encode()
    for delivery in product.forge.deliveries:
        places[f"answer to delivery {delivery.id}"] = delivery.response_body.encode()
    return places


PAGES: Final = ("/healthz", "/readyz", "/api/agents/health", "/metrics")
_ASKED: Final = (
    *(("GET", path, b"") for path in (*PAGES, "/", "/no/such/page", "/webhooks/github", "/%2e%2e/.env")),
    *(("POST", path, b"{") for path in (*PAGES, "/webhooks/github")),
)


async def pages_of(product: Rig) -> dict[str, bytes]:
    """What a running product answers to whoever asks: its pages, and those that say what is wrong."""
    pages = {}
    async with aiohttp.ClientSession() as session:
        for method, path, body in _ASKED:
            url = URL(f"{product.url}{path}", encoded=True)
            async with session.request(method, url, data=body) as answer:
                headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
                said = headers.encode() + b"\n" + await answer.read()
                pages[f"answer {answer.status} to {method} {path}"] = said
    return pages


def _logs(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in [*folder.glob("*.log"), *folder.glob("logs/*")]:
        yield f"log {path.name}", path.read_bytes()


async def _tables(url: str) -> Any:
    """Name and content of each table but the one that is made for secrets."""
    database = Database(url)
    try:
        async with database.read() as connection:
            for table in metadata.sorted_tables:
                if table.name == "secrets":
                    continue
                rows = (await connection.execute(select(table))).all()
                yield table.name, b"\n".join(_bytes(value) for row in rows for value in row)
    finally:
        await database.close()


def _bytes(value: Any) -> bytes:
    """A value of a column as bytes; JSON with its characters as they are."""
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text.encode("utf-8", "surrogateescape")


def joined(parts: Iterable[bytes]) -> bytes:
    """Some pieces as one place."""
    return b"\n".join(parts)
