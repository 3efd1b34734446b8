"""Tokens, authorisations, exactly-once sessions, their readings, and what needs a person."""

from alembic import op

from hub.runtime.schema import room, tenant_table

revision = "0006"
down_revision = "0005"

TABLES = """
CREATE SEQUENCE charging.transaction_number AS integer MINVALUE 1 CYCLE;
GRANT USAGE ON SEQUENCE charging.transaction_number TO hub_app, hub_system;

CREATE TABLE charging.token (
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  country_code text NOT NULL,
  party_id text NOT NULL,
  uid text NOT NULL,
  uid_key text NOT NULL,
  type text NOT NULL,
  partner_id uuid,
  contract_id text NOT NULL,
  visual_number text,
  issuer text NOT NULL,
  group_id text,
  valid boolean NOT NULL,
  whitelist text NOT NULL CHECK (whitelist IN ('ALWAYS', 'ALLOWED', 'ALLOWED_OFFLINE', 'NEVER')),
  language text,
  default_profile_type text,
  energy_contract bytea,
  expires_at timestamptz,
  max_sessions integer CHECK (max_sessions > 0),
  last_updated timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, country_code, party_id, uid_key, type)
);
-- Among indexes of equal cost the planner takes the last made, and without statistics all cost
-- the same: indexes of lists come first, those of single rows last.
CREATE INDEX token_updated ON charging.token (tenant_id, last_updated, uid_key);
CREATE INDEX token_uid ON charging.token (tenant_id, uid_key);

CREATE TABLE charging."authorization" (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  station_id text,
  evse integer,
  uid text NOT NULL,
  uid_key text NOT NULL,
  type text NOT NULL,
  status text NOT NULL,
  token_uid text,
  token_type text,
  contract_id text,
  country_code text,
  party_id text,
  partner_id uuid,
  group_id text,
  auth_method text NOT NULL CHECK (auth_method IN ('AUTH_REQUEST', 'COMMAND', 'WHITELIST')),
  authorization_reference text,
  reason text NOT NULL DEFAULT '',
  at timestamptz NOT NULL,
  expires_at timestamptz,
  reusable_until timestamptz NOT NULL,
  session_id uuid
);
CREATE INDEX authorization_recent ON charging."authorization" (station_id, uid_key, at DESC)
  WHERE status = 'Accepted';

CREATE TABLE charging.session (
  id uuid NOT NULL,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  station_id text NOT NULL,
  number integer NOT NULL,
  natural_key text NOT NULL,
  ref text,
  evse integer,
  connector integer,
  evse_uid text,
  connector_id text,
  location_id text,
  uid text,
  uid_key text,
  token_uid text,
  token_type text,
  contract_id text,
  token_country_code text,
  token_party_id text,
  partner_id uuid,
  group_id text,
  auth_status text,
  auth_method text,
  authorization_id uuid,
  authorization_reference text,
  state text NOT NULL
    CHECK (state IN ('PENDING', 'ACTIVE', 'COMPLETED', 'INVALID', 'RESERVATION')),
  held boolean NOT NULL DEFAULT false,
  started_at timestamptz NOT NULL,
  start_raw timestamptz,
  ended_at timestamptz,
  stop_raw timestamptz,
  opened_at timestamptz NOT NULL,
  closed_at timestamptz,
  meter_start numeric,
  meter_start_at timestamptz,
  meter_start_sure boolean NOT NULL DEFAULT false,
  meter_stop numeric,
  meter_seen numeric,
  meter_seen_at timestamptz,
  max_power_w integer,
  energy_wh numeric NOT NULL DEFAULT 0,
  charging_state text,
  charging_state_at timestamptz,
  stop_reason text,
  seq integer,
  end_seq integer,
  reservation bigint,
  remote_start_id bigint,
  tariff_id text,
  tariff_version integer,
  currency text NOT NULL,
  time_zone text NOT NULL,
  estimated boolean NOT NULL DEFAULT false,
  flags text[] NOT NULL DEFAULT '{}',
  suspect_since timestamptz,
  price_excl numeric,
  price_incl numeric,
  priced_at timestamptz,
  told_at timestamptz,
  trace text NOT NULL,
  last_updated timestamptz NOT NULL
);
CREATE INDEX session_updated ON charging.session (partner_id, last_updated, id)
  WHERE partner_id IS NOT NULL;
CREATE INDEX session_list ON charging.session (tenant_id, id DESC);
CREATE INDEX session_open ON charging.session (station_id, evse)
  WHERE state IN ('PENDING', 'ACTIVE', 'RESERVATION');
CREATE INDEX session_token_open ON charging.session (tenant_id, uid_key)
  WHERE state IN ('PENDING', 'ACTIVE');
ALTER TABLE charging.session ADD PRIMARY KEY (id), ADD UNIQUE (station_id, natural_key),
  ADD UNIQUE (number, station_id);

CREATE TABLE charging.reading (
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  session_id uuid,
  station_id text NOT NULL,
  evse integer,
  at timestamptz NOT NULL,
  measurand text NOT NULL,
  phase text NOT NULL DEFAULT '',
  context text NOT NULL,
  location text NOT NULL,
  unit text NOT NULL,
  value numeric NOT NULL,
  signed text,
  received_at timestamptz NOT NULL
);
-- The value is part of the key: a message said twice is stored once, and two samples of a
-- station whose clock has whole seconds are both kept; so are a value and its signed twin.
CREATE UNIQUE INDEX reading_of_session ON charging.reading
  (session_id, at, measurand, phase, context, location, value, (signed IS NOT NULL))
  WHERE session_id IS NOT NULL;
CREATE UNIQUE INDEX reading_without_session ON charging.reading
  (station_id, evse, at, measurand, phase, context, location, value, (signed IS NOT NULL))
  NULLS NOT DISTINCT
  WHERE session_id IS NULL;

CREATE TABLE charging.transaction_event (
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  session_id uuid NOT NULL REFERENCES charging.session,
  seq integer NOT NULL,
  kind text NOT NULL CHECK (kind IN ('Started', 'Updated', 'Ended')),
  at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  trigger text,
  offline boolean NOT NULL,
  PRIMARY KEY (session_id, seq)
);

CREATE TABLE charging.state_change (
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  station_id text NOT NULL,
  evse integer,
  session_id uuid,
  at timestamptz NOT NULL,
  state text NOT NULL
);
CREATE UNIQUE INDEX state_change_once ON charging.state_change
  (station_id, evse, session_id, at, state) NULLS NOT DISTINCT;
CREATE INDEX state_change_session ON charging.state_change (session_id, at)
  WHERE session_id IS NOT NULL;

CREATE TABLE charging.exception (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  kind text NOT NULL,
  station_id text NOT NULL,
  session_id uuid,
  key text NOT NULL,
  detail text NOT NULL,
  message bytea NOT NULL DEFAULT '{}',
  at timestamptz NOT NULL,
  resolved_at timestamptz,
  resolution text,
  resolved_by text,
  UNIQUE (tenant_id, kind, station_id, key)
);
CREATE INDEX exception_open ON charging.exception (tenant_id, id) WHERE resolved_at IS NULL;
"""

NAMES = [
    *("token", '"authorization"', "session", "reading"),
    *("transaction_event", "state_change", "exception"),
]

VIEWS = """
CREATE VIEW charging.v_session WITH (security_invoker = true) AS
SELECT id, tenant_id, station_id, number, ref, evse, connector, evse_uid, connector_id,
  location_id, token_uid, token_type, contract_id, token_country_code, token_party_id, partner_id,
  group_id, auth_status, auth_method, authorization_reference, state, held, started_at, ended_at,
  meter_start, meter_stop, energy_wh, charging_state, stop_reason, tariff_id, tariff_version,
  currency, time_zone, estimated, flags, price_excl, price_incl, trace, last_updated
FROM charging.session;
CREATE VIEW charging.v_reading WITH (security_invoker = true) AS
SELECT tenant_id, session_id, station_id, evse, at, measurand, phase, context, location, unit,
  value, signed, received_at
FROM charging.reading;
GRANT SELECT ON charging.v_session, charging.v_reading TO hub_app, hub_system;
"""


def upgrade() -> None:
    op.execute(room("charging"))
    op.execute(TABLES)
    for name in NAMES:
        op.execute(tenant_table(f"charging.{name}"))
    op.execute(VIEWS)
