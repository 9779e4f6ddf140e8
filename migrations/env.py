"""Alembic's entry: always on the connection that `bot.db.migrate` hands over."""

from alembic import context

from bot.db.migrate import comparable_metadata, version_schema

connection = context.config.attributes["connection"]
is_postgres = connection.dialect.name == "postgresql"
context.configure(
    connection=connection,
    target_metadata=comparable_metadata(connection.dialect.name),
    version_table_schema=version_schema(connection.dialect.name),
    include_schemas=is_postgres,
    include_name=lambda name, kind, _parents: kind != "schema" or name in (None, "issuewright"),
    render_as_batch=not is_postgres,
    compare_type=is_postgres,
    compare_server_default=False,
)
with context.begin_transaction():
    context.run_migrations()
