"""Which deliveries are dispatched next: in order within a thread, in turn between installations."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, zip_longest
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Text,
    bindparam,
    case,
    func,
    null,
    or_,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.columns import UtcTimestamp
from bot.db.deliveries import StoredDelivery, is_waiting
from bot.db.scope import system_only
from bot.db.tables import deliveries
from bot.db.turns import take_turn
from bot.db.walk import values_of
from bot.domain.values import Scope

WINDOW: Final = 2_000
"""How many of an installation's oldest are ordered; what comes behind them waits for its place there."""
FEW: Final = 16
MANY: Final = 256
"""Of how many installations one statement asks what they may dispatch: at first, and after that."""
MAX_BLOCKING_ATTEMPTS: Final = 3
"""A delivery that failed so often no longer holds up the later ones of its thread."""
Installation: TypeAlias = int | None
"""Whose turn it is; None: all deliveries that name no installation."""
Place: TypeAlias = tuple[Installation, str, int]
"""An installation, its oldest delivery that waits, and how many of it may be begun."""
_WAITS: Final = is_waiting()
_one: Final = deliveries.alias("one")


def _nobody(_: Installation) -> int:
    return 0


def _everyone(_: Installation) -> int:
    return WINDOW


async def take(
    scope: Scope,
    connection: AsyncConnection,
    *,
    now: datetime,
    until: datetime,
    limit: int,
    without: Collection[str] = (),
    served: Callable[[Installation], int] = _nobody,
    room: Callable[[Installation], int] = _everyone,
) -> list[StoredDelivery]:
    """At most *limit* deliveries to dispatch now, at most one of a thread, *without* those at work here.

    Each installation in its turn: first whoever has the lowest number in *served*, then whoever waits
    longest; *room* says how many more of one may be at work here. However much one of them has waiting,
    or put off, the others do not wait for it.

    On Postgres they are ours until *until*: another worker gets others, and takes these up after that.
    On SQLite nothing is written; there another worker does the work twice, and `finish` lets one be
    the one that did it.
    """
    system_only(scope)
    is_shared = connection.dialect.name == "postgresql"
    if is_shared:
        # What is lost here in a power cut is only whose turn it was.
        await connection.execute(text("SET LOCAL synchronous_commit TO OFF"))
        await take_turn(connection, "dispatch")
    in_turn = await _waiting(connection, served)
    asked = {"now": now, "without": list(without), "most": limit}
    turns: list[list[str]] = []
    for portion in _portions([(*one, room(one[0])) for one in in_turn if room(one[0]) > 0]):
        if len(turns) >= limit:
            break
        turns += await _turns(connection, portion, asked)
    dealt = chain.from_iterable(zip_longest(*turns))
    chosen = [delivery_id for delivery_id in dealt if delivery_id is not None][:limit]
    if is_shared and chosen:
        mine = deliveries.c.id.in_(chosen)
        await connection.execute(update(deliveries).where(mine, _WAITS).values(wake_at=until))
    return await _rows(connection, chosen)


async def release(scope: Scope, connection: AsyncConnection, delivery_ids: Collection[str]) -> None:
    """Give back what was taken and not dispatched; what has ended meanwhile is left alone."""
    system_only(scope)
    mine = deliveries.c.id.in_(delivery_ids)
    await connection.execute(update(deliveries).where(mine, _WAITS).values(wake_at=None))


async def _waiting(
    connection: AsyncConnection, served: Callable[[Installation], int]
) -> list[tuple[Installation, str]]:
    """The installations of which something waits, each with its oldest; the next one first."""
    found = (await connection.execute(_FIRSTS)).all()
    in_turn = sorted(found, key=lambda row: (served(row.installation), row.first))
    return [(row.installation, row.first) for row in in_turn]


def _portions(places: Sequence[Place]) -> Iterator[Sequence[Place]]:
    """A few of *places*, which mostly is enough, and then many at a time: most have nothing to do now."""
    yield places[:FEW]
    for begin in range(FEW, len(places), MANY):
        yield places[begin : begin + MANY]


async def _turns(
    connection: AsyncConnection, portion: Sequence[Place], asked: Mapping[str, Any]
) -> list[list[str]]:
    """What each of *portion* may dispatch now, no more than it has room for; without those that may nothing.

    One statement for all of them: of thousands whose deliveries are all put off each look asks all.
    """
    firsts = [first for installation, first, _ in portion if installation is not None]
    found = list(await connection.execute(_HEADS, {**asked, "firsts": firsts})) if firsts else []
    if len(firsts) < len(portion):
        found += await connection.execute(_HEADS_OF_NONE, asked)
    heads = {row.installation: sorted(row.ids.split(",")) for row in found if row.ids is not None}
    return [heads[whose][:most] for whose, _, most in portion if whose in heads]


async def _rows(connection: AsyncConnection, chosen: list[str]) -> list[StoredDelivery]:
    """The deliveries *chosen*, in that order."""
    if not chosen:
        return []
    values = (deliveries.c[name] for name in StoredDelivery.__slots__)
    statement = select(*values).where(deliveries.c.id.in_(chosen))
    found = {row.id: StoredDelivery(*row) for row in await connection.execute(statement)}
    return [found[delivery_id] for delivery_id in chosen]


def _firsts() -> Any:
    """Each installation of which something waits, and its oldest delivery."""
    installation = deliveries.c.installation_id
    who = values_of(installation, _WAITS)
    return union_all(
        select(who.c.id.label("installation"), _oldest(installation == who.c.id).label("first")).where(
            who.c.id.is_not(None)
        ),
        select(null().cast(BigInteger), _oldest(installation.is_(None))).where(
            _oldest(installation.is_(None)).is_not(None)
        ),
    )


def _oldest(whose: ColumnElement[bool]) -> Any:
    """The id of the oldest one that waits; ids are in the order of arrival."""
    of_them = select(deliveries.c.id).where(_WAITS, whose).order_by(deliveries.c.id).limit(1)
    return of_them.correlate_except(deliveries).scalar_subquery()


def _heads(whose: ColumnElement[bool]) -> Any:
    """The ids of the first delivery of each of an installation's threads, the oldest of them: one text."""
    names = ("id", "wake_at", "attempts", "repository", "number")
    oldest = (
        select(*(_one.c[name] for name in names))
        .where(is_waiting(_one.c.state), whose)
        .order_by(_one.c.id)
        .limit(WINDOW)
        .correlate(deliveries)
        .subquery()
    )
    is_alone = or_(oldest.c.number.is_(None), oldest.c.attempts >= MAX_BLOCKING_ATTEMPTS)
    thread = (oldest.c.repository, oldest.c.number, case((is_alone, oldest.c.id), else_=None))
    place = func.row_number().over(partition_by=thread, order_by=oldest.c.id)
    heads = select(oldest, place.label("place")).correlate(deliveries).subquery()
    is_due = or_(heads.c.wake_at.is_(None), heads.c.wake_at <= bindparam("now", type_=UtcTimestamp))
    is_here = heads.c.id.in_(bindparam("without", type_=Text, expanding=True))
    due = (
        select(heads.c.id)
        .where(heads.c.place == 1, is_due, ~is_here)
        .order_by(heads.c.id)
        .limit(bindparam("most", type_=Integer))
        .correlate(deliveries)
        .subquery()
    )
    return select(func.aggregate_strings(due.c.id, ",")).correlate(deliveries).scalar_subquery()


def _heads_of_many() -> Select[Any]:
    """The heads of each installation of which the oldest is among *firsts*."""
    installation = deliveries.c.installation_id
    firsts = bindparam("firsts", type_=Text, expanding=True)
    return select(
        installation.label("installation"), _heads(_one.c.installation_id == installation).label("ids")
    ).where(deliveries.c.id.in_(firsts))


# Built once: they are asked at each ring.
_FIRSTS: Final = _firsts()
_HEADS: Final = _heads_of_many()
_HEADS_OF_NONE: Final = select(
    null().cast(BigInteger).label("installation"), _heads(_one.c.installation_id.is_(None)).label("ids")
)
