"""Column types and naming that make the schema the same for SQLAlchemy, Alembic and Prisma.

Names of keys and indexes follow Prisma 7 (https://www.prisma.io/docs/orm/prisma-schema).
"""

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import JSON, Column, DateTime, Enum, ForeignKey, LargeBinary, MetaData, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, TIMESTAMP
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

OWN_SCHEMA = "issuewright"
ZERO = text("0")

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
    }
)

# None is the database's NULL, not JSON's: `IS NULL` finds it, as for rows that Prisma writes.
JSON_VALUE = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
TEXT_LIST = JSON().with_variant(ARRAY(Text()), "postgresql")
RAW_BYTES = LargeBinary().with_variant(BYTEA(), "postgresql")


class UtcTimestamp(TypeDecorator[datetime]):
    """An instant: aware UTC in Python, naive UTC with milliseconds in the database.

    Raises:
        ValueError: A naive datetime was given; say which zone it is in first.
    """

    impl = DateTime().with_variant(TIMESTAMP(precision=3), "postgresql")
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """To naive UTC, cut to milliseconds."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"a naive datetime cannot be stored: {value!r}"
            raise ValueError(message)
        utc = value.astimezone(UTC).replace(tzinfo=None)
        return utc.replace(microsecond=utc.microsecond // 1000 * 1000)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Back to aware UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


def native_enum(kind: type[StrEnum]) -> Enum:
    """A Postgres enum type named after the class, as in the seed; VARCHAR on SQLite."""
    return Enum(kind, name=kind.__name__, values_callable=lambda names: [name.value for name in names])


def word(kind: type[StrEnum]) -> Enum:
    """A closed set of words of our own tables: VARCHAR(32) everywhere, checked in Python."""
    return Enum(
        kind,
        name=kind.__name__,
        native_enum=False,
        length=32,
        validate_strings=True,
        values_callable=lambda names: [name.value for name in names],
    )


def text_id() -> Column[str]:
    """The primary key `id`: a ULID as text."""
    return Column("id", Text, primary_key=True)


def created_at() -> Column[datetime]:
    """`createdAt`, with the database's clock as default for rows that others insert."""
    return Column(
        "createdAt",
        UtcTimestamp,
        key="created_at",
        nullable=False,
        server_default=text("CURRENT_TIMESTAMP"),
    )


def updated_at() -> Column[datetime]:
    """`updatedAt`; Prisma's client and ours supply it, the database does not."""
    return Column("updatedAt", UtcTimestamp, key="updated_at", nullable=False)


def job_reference(*, primary_key: bool = False, nullable: bool = False) -> Column[str]:
    """`jobId` with the seed's cascade."""
    return Column(
        "jobId",
        Text,
        ForeignKey("agent_jobs.id", ondelete="CASCADE", onupdate="CASCADE"),
        key="job_id",
        primary_key=primary_key,
        nullable=nullable,
    )


def organization_reference(*, ondelete: str = "RESTRICT", primary_key: bool = False) -> Column[str]:
    """`organizationId`: whose a row is."""
    return Column(
        "organizationId",
        Text,
        ForeignKey("organizations.id", ondelete=ondelete, onupdate="CASCADE"),
        key="organization_id",
        primary_key=primary_key,
        nullable=False,
    )
