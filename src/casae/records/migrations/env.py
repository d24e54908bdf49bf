"""Run by Alembic: migrations in the connection that `casae.records.database` gives, all of them or none."""

from alembic import context

from casae.records.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite")
with context.begin_transaction():
    context.run_migrations()
