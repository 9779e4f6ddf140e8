"""The condition that keeps every query inside its scope."""

from sqlalchemy import ColumnElement, Table, true

from bot.domain.values import Scope


def within(scope: Scope, table: Table) -> ColumnElement[bool]:
    """Rows of *table* that *scope* may see; all of them for the system's own work."""
    if scope.organization_id is None:
        return true()
    return table.c.organization_id == scope.organization_id


def system_only(scope: Scope) -> None:
    """Raise ValueError when a query that belongs to no tenant is asked on behalf of one."""
    if scope.organization_id is not None:
        message = "this query belongs to no tenant: pass Scope.system()"
        raise ValueError(message)
