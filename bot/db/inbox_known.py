"""Which deliveries of a batch came before: one look at an SQLite file for all of them.

The whole answer is one row, because each row that SQLite steps to makes two threads change places.
"""

from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import orjson
from sqlalchemy import Text, and_, bindparam, func, select, union

from bot.db.deliveries import Accepted, IncomingDelivery
from bot.db.inbox import Keep, Part, Work, is_taken_up
from bot.db.tables import deliveries
from bot.domain.enums import DeliveryState

_COLUMNS: Final = (
    deliveries.c.id,
    deliveries.c.state,
    deliveries.c.digest,
    deliveries.c.target_type,
    deliveries.c.target_id,
    deliveries.c.guid,
    deliveries.c.received_at,
)
_digests = func.json_each(bindparam("b_digests", type_=Text)).table_valued("value", name="digests")
_guids = func.json_each(bindparam("b_guids", type_=Text)).table_valued("value", name="guids")
_found = union(
    select(*_COLUMNS).select_from(_digests).join(deliveries, deliveries.c.digest == _digests.c.value),
    select(*_COLUMNS)
    .select_from(_guids)
    .join(
        deliveries,
        and_(
            deliveries.c.target_type == func.json_extract(_guids.c.value, "$[0]"),
            deliveries.c.target_id == func.json_extract(_guids.c.value, "$[1]"),
            deliveries.c.guid == func.json_extract(_guids.c.value, "$[2]"),
        ),
    ),
).subquery()
FIND_ALL: Final = select(func.json_group_array(func.json_array(*_found.c), type_=Text))


class Known:
    """The deliveries that came before, by what they are known by."""

    def __init__(self, answer: str) -> None:
        """Read the *answer* of `FIND_ALL`."""
        self._by_name: dict[object, tuple[int, Accepted]] = {}
        oldest_first = sorted(orjson.loads(answer), key=itemgetter(-1))
        for rank, (delivery_id, state, digest, *guid, _at) in enumerate(oldest_first):
            accepted = Accepted(delivery_id, is_new=False, state=DeliveryState(state))
            for name in (digest, tuple(guid)):
                self._by_name.setdefault(name, (rank, accepted))

    def outcome(self, work: Work) -> Accepted | None:
        """What *work* comes to without a write; None where something has to be written."""
        if isinstance(work, Part) or (isinstance(work, Keep) and work.upload_id):
            return None
        delivery = work.delivery
        names = (delivery.digest, (delivery.target_type, delivery.target_id, delivery.guid))
        found = [self._by_name[name] for name in names if name in self._by_name]
        if not found:
            return None
        accepted = min(found, key=itemgetter(0))[1]
        return None if is_taken_up(accepted.state, delivery) else accepted


def names_of_all(asked: Sequence[IncomingDelivery]) -> dict[str, str]:
    """The parameters of `FIND_ALL`.

    Raises:
        ValueError, TypeError: One of them has a name that no JSON holds.
    """
    guids = [(one.target_type, one.target_id, one.guid) for one in asked]
    return {
        "b_digests": orjson.dumps(list({one.digest for one in asked})).decode(),
        "b_guids": orjson.dumps(guids).decode(),
    }
