"""Reads the part of Prisma's schema language that the seed uses, and says what Postgres then holds.

The rules are Prisma 7's (https://www.prisma.io/docs/orm/reference/prisma-schema-reference).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

SCALARS = {
    "String": "text",
    "Int": "integer",
    "Json": "jsonb",
    "DateTime": "timestamp(3) without time zone",
}
_BLOCK = re.compile(r"^(?P<kind>model|enum) (?P<name>\w+) \{\n(?P<body>.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"(?P<name>\w+)\s+(?P<type>\w+)(?P<mark>\?|\[\])?(?P<rest>.*)")
_INDEX = re.compile(r"@@index\(\[(?P<fields>[^\]]+)\]\)")
_TABLE = re.compile(r'@@map\("(?P<name>\w+)"\)')
_DEFAULT = re.compile(r"@default\((?P<value>\w+(?=\()|[^()]+)")
_RELATION = re.compile(
    r"@relation\(fields: \[(?P<fields>\w+)\], references: \[(?P<references>\w+)\]"
    r"(?:, onDelete: (?P<on_delete>\w+))?\)"
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the catalogue names its type and its default."""

    type: str
    is_nullable: bool
    default: str | None


@dataclass(frozen=True, slots=True)
class Table:
    """What one model comes to; `keys` are foreign keys and `indexes` their definitions, by name."""

    columns: Mapping[str, Column]
    indexes: Mapping[str, str]
    keys: Mapping[str, str]


@dataclass(slots=True)
class _Model:
    table: str
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Schema:
    """All tables and enums of one text."""

    tables: Mapping[str, Table]
    enums: Mapping[str, tuple[str, ...]]


def parse(text: str, *, elsewhere: Mapping[str, str] | None = None) -> Schema:
    """What Postgres holds for the schema *text*; *elsewhere* gives the tables of models not in it."""
    enums: dict[str, tuple[str, ...]] = {}
    models: dict[str, _Model] = {}
    for block in _BLOCK.finditer(text):
        lines = [line.split("//")[0].strip() for line in block["body"].splitlines()]
        lines = [line for line in lines if line]
        if block["kind"] == "enum":
            enums[block["name"]] = tuple(lines)
        else:
            models[block["name"]] = _Model(_table_name(block["body"]), lines)
    names = {**(elsewhere or {}), **{name: model.table for name, model in models.items()}}
    tables = {model.table: _table(model, names, enums) for model in models.values()}
    return Schema(tables, enums)


def _table_name(body: str) -> str:
    found = _TABLE.search(body)
    assert found is not None
    return found["name"]


def _table(model: _Model, names: Mapping[str, str], enums: Mapping[str, tuple[str, ...]]) -> Table:
    columns: dict[str, Column] = {}
    indexes: dict[str, str] = {}
    keys: dict[str, str] = {}
    for line in model.lines:
        if line.startswith("@@"):
            indexes.update(_indexes(model.table, line))
            continue
        found = _FIELD.fullmatch(line)
        assert found is not None, line
        if found["type"] in names:
            keys.update(_keys(model.table, found, names))
        else:
            columns[found["name"]] = _column(found, enums)
            indexes.update(_field_indexes(model.table, found))
    return Table(columns, indexes, keys)


def _column(found: re.Match[str], enums: Mapping[str, tuple[str, ...]]) -> Column:
    kind = f'"{found["type"]}"' if found["type"] in enums else SCALARS[found["type"]]
    given = _DEFAULT.search(found["rest"])
    value = given["value"] if given else None
    if found["mark"] == "[]":
        return Column(f"{kind}[]", is_nullable=True, default=f"ARRAY[]::{kind}[]" if value else None)
    return Column(kind, is_nullable=found["mark"] == "?", default=_default(value, kind))


def _default(value: str | None, kind: str) -> str | None:
    """The catalogue's spelling; cuid() and @updatedAt are supplied by the client."""
    if value in {None, "cuid"}:
        return None
    if value == "now":
        return "CURRENT_TIMESTAMP"
    if kind == SCALARS["Int"]:
        return value
    word = str(value).strip('"')
    return f"'{word}'::{kind}"


def _indexes(table: str, line: str) -> Iterator[tuple[str, str]]:
    found = _INDEX.fullmatch(line)
    if found is not None:
        names = found["fields"].split(", ")
        yield _index(f"{table}_{'_'.join(names)}_idx", table, names)


def _field_indexes(table: str, found: re.Match[str]) -> Iterator[tuple[str, str]]:
    if "@id" in found["rest"]:
        yield _index(f"{table}_pkey", table, [found["name"]], unique=True)
    if "@unique" in found["rest"]:
        yield _index(f"{table}_{found['name']}_key", table, [found["name"]], unique=True)


def _index(name: str, table: str, columns: list[str], *, unique: bool = False) -> tuple[str, str]:
    kind = "UNIQUE INDEX" if unique else "INDEX"
    listed = ", ".join(quoted(column) for column in columns)
    return name, f"CREATE {kind} {quoted(name)} ON public.{table} USING btree ({listed})"


def _keys(table: str, found: re.Match[str], names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    relation = _RELATION.search(found["rest"])
    if relation is None:
        return  # the other side of a relation holds no column
    usual = "SetNull" if found["mark"] == "?" else "Restrict"
    on_delete = {"Cascade": "CASCADE", "SetNull": "SET NULL", "Restrict": "RESTRICT"}
    target = f"{names[found['type']]}({relation['references']})"
    rules = f"ON UPDATE CASCADE ON DELETE {on_delete[relation['on_delete'] or usual]}"
    definition = f"FOREIGN KEY ({quoted(relation['fields'])}) REFERENCES {target} {rules}"
    yield f"{table}_{relation['fields']}_fkey", definition


def quoted(name: str) -> str:
    """A name as Postgres prints it: in quotes when it has capitals, or is a word that SQL keeps."""
    return name if name.islower() and name != "timestamp" else f'"{name}"'
