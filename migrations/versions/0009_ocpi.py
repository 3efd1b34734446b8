"""The OCPI door's own memory: messages of every leg, quarantine, deliveries, commands, receipts."""

from alembic import op

from hub.runtime.schema import room, tenant_table

revision = "0009"
down_revision = "0008"

TABLES = """
CREATE TABLE ocpi.message (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  partner_id uuid,
  direction text NOT NULL CHECK (direction IN ('in', 'out')),
  at timestamptz NOT NULL,
  millis integer NOT NULL,
  correlation_id text NOT NULL,
  request_id text NOT NULL,
  module text NOT NULL,
  method text NOT NULL,
  url text NOT NULL,
  http_status integer,
  status_code integer,
  request bytea NOT NULL,
  response bytea NOT NULL,
  error text
);
CREATE INDEX message_trace ON ocpi.message (tenant_id, correlation_id);
CREATE INDEX message_partner ON ocpi.message (partner_id, id DESC);
CREATE INDEX message_at ON ocpi.message (at);

CREATE TABLE ocpi.quarantine (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  partner_id uuid NOT NULL,
  at timestamptz NOT NULL,
  version text NOT NULL,
  module text NOT NULL,
  method text NOT NULL,
  path text NOT NULL,
  query text NOT NULL,
  headers bytea NOT NULL,
  body bytea NOT NULL,
  reason text NOT NULL,
  state text NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'replayed', 'dropped')),
  done_at timestamptz
);
CREATE INDEX quarantine_held ON ocpi.quarantine (tenant_id, id) WHERE state = 'held';

CREATE TABLE ocpi.delivery (
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  partner_id uuid NOT NULL,
  kind text NOT NULL,
  object_id text NOT NULL,
  hash bytea NOT NULL,
  at timestamptz NOT NULL,
  location text,
  PRIMARY KEY (partner_id, kind, object_id)
);

CREATE TABLE ocpi.command (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  partner_id uuid NOT NULL,
  command_id uuid UNIQUE,
  kind text NOT NULL,
  version text NOT NULL,
  response_url text NOT NULL,
  request_hash bytea NOT NULL,
  response text NOT NULL,
  timeout integer NOT NULL,
  to_country text NOT NULL,
  to_party text NOT NULL,
  station_id text,
  token_uid text,
  at timestamptz NOT NULL,
  result text,
  result_text text,
  delivered_at timestamptz,
  trace text NOT NULL,
  UNIQUE (partner_id, response_url)
);
CREATE INDEX command_waiting ON ocpi.command (station_id) WHERE result IS NULL;
"""

VIEWS = """
CREATE VIEW ocpi.v_message WITH (security_invoker = true) AS SELECT * FROM ocpi.message;
GRANT SELECT ON ocpi.v_message TO hub_app, hub_system;
"""


def upgrade() -> None:
    op.execute(room("ocpi"))
    op.execute(TABLES)
    for table in ("message", "quarantine", "delivery", "command"):
        op.execute(tenant_table(f"ocpi.{table}"))
    op.execute(VIEWS)
