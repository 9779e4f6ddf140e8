"""Which values an index holds, from one to the next: as many steps as values, however many rows there are."""

from sqlalchemy import CTE, ColumnElement, TextClause, func, select


def values_of(column: ColumnElement[int], condition: "ColumnElement[bool] | TextClause") -> CTE:
    """The values of *column* in the rows of *condition*, as `id` of a recursive table.

    Its last row has none. Quick where an index of those rows begins with the column.
    """
    found = select(func.min(column).label("id")).where(condition).cte("who", recursive=True)
    beyond = select(func.min(column)).where(condition, column > found.c.id).scalar_subquery()
    return found.union_all(select(beyond).where(found.c.id.is_not(None)))
