"""The seed's text and the Prisma contract, compared with the catalogue of a migrated Postgres."""

from pathlib import Path

import pytest

from bot.db.database import Database
from tests.db.catalogue import read_others, read_public
from tests.db.prisma import Schema, parse

ROOT = Path(__file__).parent.parent.parent
SEED = (ROOT / "tests/samples/seed.prisma").read_text()
CONTRACT = (ROOT / "docs/prisma/schema.prisma").read_text()
ELSEWHERE = {"Organization": "organizations", "User": "users"}

on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


@pytest.fixture
async def public(database: Database) -> Schema:
    async with database.read() as connection:
        return await read_public(connection)


@on_postgres
@pytest.mark.parametrize(
    "table", ["agent_issues", "agent_jobs", "agent_artifacts", "agent_logs", "agent_feedback"]
)
async def test_a_model_of_the_seed_is_this_table_to_the_letter(public: Schema, table: str) -> None:
    assert public.tables[table] == parse(SEED, elsewhere=ELSEWHERE).tables[table]


@on_postgres
async def test_the_seed_has_five_models_and_nine_enums_and_all_of_them_are_here(public: Schema) -> None:
    seed = parse(SEED, elsewhere=ELSEWHERE)
    assert (len(seed.tables), len(seed.enums)) == (5, 9)
    assert seed.tables.keys() < public.tables.keys()


@on_postgres
async def test_the_enums_have_the_labels_of_the_seed_in_their_order(public: Schema) -> None:
    assert public.enums == parse(SEED, elsewhere=ELSEWHERE).enums


@on_postgres
async def test_public_holds_the_contract_and_not_a_thing_besides(public: Schema, database: Database) -> None:
    assert public == parse(CONTRACT)
    async with database.read() as connection:
        assert await read_others(connection) == []


def test_the_contract_repeats_the_models_of_the_seed_word_for_word() -> None:
    models = SEED[SEED.index("model AgentIssue") : SEED.index("// Enums")]
    assert models in CONTRACT
    assert parse(CONTRACT).enums == parse(SEED, elsewhere=ELSEWHERE).enums
