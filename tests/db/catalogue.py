"""What a Postgres database really holds, in the words of its catalogue."""

from collections import defaultdict

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.db.prisma import Column, Schema, Table

COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
           pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped
"""
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
# Postgres keeps NOT NULL ('n') as a constraint too, since version 18; the columns say it already.
CONSTRAINTS = """
    SELECT c.relname, k.conname, k.contype::text, pg_get_constraintdef(k.oid)
    FROM pg_constraint k
    JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
    WHERE k.contype <> 'n'
"""
ENUMS = """
    SELECT t.typname, array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
    FROM pg_type t
    JOIN pg_enum e ON e.enumtypid = t.oid
    JOIN pg_namespace n ON n.oid = t.typnamespace AND n.nspname = 'public'
    GROUP BY t.typname
"""
OTHERS = """
    SELECT c.relname::text FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public' WHERE c.relkind NOT IN ('r', 'i')
    UNION ALL
    SELECT p.proname::text FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'public'
    UNION ALL
    SELECT t.tgname::text FROM pg_trigger t WHERE NOT t.tgisinternal
"""


async def read_public(connection: AsyncConnection) -> Schema:
    """The tables and enums of the schema `public`."""
    columns: dict[str, dict[str, Column]] = defaultdict(dict)
    indexes: dict[str, dict[str, str]] = defaultdict(dict)
    keys: dict[str, dict[str, str]] = defaultdict(dict)
    for table, name, kind, is_nullable, default in await connection.execute(text(COLUMNS)):
        columns[table][name] = Column(kind, is_nullable, default)
    for table, name, definition in await connection.execute(text(INDEXES)):
        indexes[table][name] = definition
    for table, name, kind, definition in await connection.execute(text(CONSTRAINTS)):
        if kind != "p":  # a primary key is among the indexes
            keys[table][name] = definition
    enums = {name: tuple(labels) for name, labels in await connection.execute(text(ENUMS))}
    tables = {name: Table(columns[name], indexes[name], keys[name]) for name in columns}
    return Schema(tables, enums)


async def read_others(connection: AsyncConnection) -> list[str]:
    """Views, sequences, functions and triggers: things that Prisma would see and we do not make."""
    return list((await connection.execute(text(OTHERS))).scalars())
