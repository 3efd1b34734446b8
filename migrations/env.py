"""Runs the migrations over one plain connection that ``hub.runtime.migrate`` names."""

from alembic import context
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine, pool

url = context.config.attributes["url"]
engine = create_engine(
    "postgresql+psycopg://", connect_args=conninfo_to_dict(url), poolclass=pool.NullPool
)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=None, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
