"""Charge detail records and statements, which never change, and sessions held back from billing."""

from alembic import op

from hub.runtime.schema import room, tenant_table

revision = "0007"
down_revision = "0006"

TABLES = """
CREATE TABLE settlement.cdr (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  session_id text NOT NULL,
  partner_id uuid,
  currency text NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at timestamptz NOT NULL,
  energy_wh numeric NOT NULL,
  total_excl numeric NOT NULL,
  total_incl numeric NOT NULL,
  minor_incl bigint NOT NULL,
  account text NOT NULL,
  txn_id uuid,
  no_posting_reason text,
  credit boolean NOT NULL DEFAULT false,
  credits_id uuid,
  issued_at timestamptz NOT NULL,
  body bytea NOT NULL,
  CHECK ((txn_id IS NULL) = (no_posting_reason IS NOT NULL)),
  CHECK (credit = (credits_id IS NOT NULL))
);
CREATE UNIQUE INDEX cdr_of_session ON settlement.cdr (tenant_id, session_id) WHERE NOT credit;
CREATE UNIQUE INDEX cdr_credited_once ON settlement.cdr (credits_id) WHERE credit;
CREATE INDEX cdr_issued ON settlement.cdr (tenant_id, issued_at, id);
CREATE INDEX cdr_partner ON settlement.cdr (tenant_id, partner_id, issued_at, id);

CREATE TABLE settlement.held (
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  session_id uuid NOT NULL,
  reason text NOT NULL,
  held_at timestamptz NOT NULL,
  resolved_at timestamptz,
  PRIMARY KEY (tenant_id, session_id)
);

CREATE TABLE settlement.statement (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  partner_id uuid,
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
  closed_at timestamptz NOT NULL,
  body bytea NOT NULL,
  UNIQUE NULLS NOT DISTINCT (tenant_id, partner_id, starts_at, ends_at)
);
CREATE TABLE settlement.statement_line (
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  cdr_id uuid PRIMARY KEY,
  statement_id uuid NOT NULL
);
CREATE INDEX statement_line_of ON settlement.statement_line (statement_id);

CREATE FUNCTION settlement.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'settlement.% is append-only', TG_TABLE_NAME
    USING ERRCODE = 'HS001', HINT = 'issue a credit CDR instead';
END $$;
"""

VIEWS = """
CREATE VIEW settlement.v_cdr WITH (security_invoker = true) AS
SELECT c.id, c.tenant_id, c.session_id, c.partner_id, c.currency, c.started_at, c.ended_at,
  c.energy_wh, c.total_excl, c.total_incl, c.account, c.txn_id, c.no_posting_reason, c.credit,
  c.credits_id, c.issued_at, l.statement_id, c.body
FROM settlement.cdr c LEFT JOIN settlement.statement_line l ON l.cdr_id = c.id;
CREATE VIEW settlement.v_held WITH (security_invoker = true) AS
SELECT tenant_id, session_id, reason, held_at, resolved_at FROM settlement.held;
GRANT SELECT ON settlement.v_cdr, settlement.v_held TO hub_app, hub_system;
"""


def upgrade() -> None:
    op.execute(room("settlement"))
    op.execute(TABLES)
    for table in ("cdr", "statement", "statement_line"):
        op.execute(tenant_table(f"settlement.{table}", "SELECT, INSERT"))
        op.execute(
            f"""CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE
                ON settlement.{table}
                FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()"""
        )
    op.execute(tenant_table("settlement.held", "SELECT, INSERT, UPDATE"))
    op.execute(VIEWS)
