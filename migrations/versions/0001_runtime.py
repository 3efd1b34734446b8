"""Roles, tenants, events, jobs: what every later table leans on. Not reversible."""

from alembic import op

from hub.runtime.schema import room, shared_table, tenant_table

revision = "0001"
down_revision = None

ROLES = """
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['hub_app', 'hub_ingest', 'hub_system'] LOOP
    BEGIN
      IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name) THEN
        EXECUTE format('CREATE ROLE %I NOLOGIN', name);
      END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    -- Since Postgres 16 the creator of a role is its member without being allowed to SET it.
    BEGIN
      EXECUTE format('SET LOCAL ROLE %I', name);
      RESET ROLE;
    EXCEPTION WHEN insufficient_privilege THEN
      EXECUTE format('GRANT %I TO CURRENT_USER', name);
    END;
  END LOOP;
END $$;
"""

TABLES = """
CREATE TABLE runtime.tenant (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  currency char(3) NOT NULL,
  scratch boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO runtime.tenant (id, name, currency)
VALUES ('00000000-0000-7000-8000-000000000001', 'Platform', 'EUR');

CREATE TABLE runtime.event (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  name text NOT NULL,
  version smallint NOT NULL,
  payload bytea NOT NULL,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  trace text NOT NULL
);
CREATE INDEX event_at ON runtime.event (at);
CREATE INDEX event_trace ON runtime.event (trace);

CREATE TABLE runtime.job (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  event_id bigint NOT NULL,
  name text NOT NULL,
  lane text,
  parks boolean NOT NULL,
  payload bytea NOT NULL,
  state text NOT NULL DEFAULT 'ready'
    CHECK (state IN ('ready', 'running', 'done', 'dead', 'dropped')),
  run_at timestamptz NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  worker uuid,
  lease_until timestamptz,
  last_error text,
  done_at timestamptz,
  trace text NOT NULL
);
CREATE INDEX job_due ON runtime.job (run_at, id) WHERE state IN ('ready', 'running');
CREATE INDEX job_lane ON runtime.job (lane, id)
  WHERE lane IS NOT NULL AND state IN ('ready', 'running', 'dead');
CREATE INDEX job_dead ON runtime.job (tenant_id, id) WHERE state = 'dead';
CREATE INDEX job_done ON runtime.job (done_at) WHERE state IN ('done', 'dropped');
"""


def upgrade() -> None:
    op.execute(ROLES)
    op.execute(room("runtime"))
    op.execute("GRANT USAGE ON SCHEMA runtime TO hub_ingest")
    op.execute(TABLES)
    op.execute("GRANT SELECT ON public.alembic_version TO hub_app, hub_system")
    op.execute(shared_table("runtime.tenant", "SELECT, INSERT, UPDATE"))
    op.execute(tenant_table("runtime.event"))
    op.execute(tenant_table("runtime.job"))
