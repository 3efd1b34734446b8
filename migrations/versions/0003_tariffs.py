"""Our tariffs, each with its immutable versions."""

from alembic import op

from hub.runtime.schema import room, tenant_table

revision = "0003"
down_revision = "0002"

TABLES = """
CREATE TABLE tariffs.tariff (
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  key text COLLATE "C" NOT NULL,
  id text NOT NULL,
  version integer NOT NULL CHECK (version >= 0),
  currency text CHECK (currency ~ '^[A-Z]{3}$'),
  is_default boolean NOT NULL DEFAULT false,
  last_updated timestamptz NOT NULL,
  deleted_at timestamptz,
  PRIMARY KEY (tenant_id, key)
);
CREATE UNIQUE INDEX tariff_default ON tariffs.tariff (tenant_id) WHERE is_default;

CREATE TABLE tariffs.version (
  tenant_id uuid NOT NULL,
  key text COLLATE "C" NOT NULL,
  version integer NOT NULL CHECK (version > 0),
  body bytea NOT NULL,
  digest bytea NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, key, version),
  FOREIGN KEY (tenant_id, key) REFERENCES tariffs.tariff (tenant_id, key)
);

CREATE VIEW tariffs.v_tariff WITH (security_invoker = true) AS
  SELECT tenant_id, id, version, currency, is_default, last_updated, deleted_at
  FROM tariffs.tariff;
"""


def upgrade() -> None:
    op.execute(room("tariffs"))
    op.execute(TABLES)
    op.execute(tenant_table("tariffs.tariff", "SELECT, INSERT, UPDATE"))
    op.execute(tenant_table("tariffs.version", "SELECT, INSERT"))
    op.execute("GRANT SELECT ON tariffs.v_tariff TO hub_app, hub_system;")
