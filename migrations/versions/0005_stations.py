"""What stands in the field: locations, EVSEs, connectors, stations, commands owed to them."""

from alembic import op

from hub.runtime.schema import room, tenant_table

revision = "0005"
down_revision = "0004"

TABLES = """
CREATE TABLE stations.location (
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  id text NOT NULL,
  country_code text NOT NULL,
  party_id text NOT NULL,
  publish boolean NOT NULL,
  publish_allowed_to bytea,
  name text,
  address text NOT NULL,
  city text NOT NULL,
  postal_code text,
  state text,
  country text NOT NULL,
  latitude numeric NOT NULL,
  longitude numeric NOT NULL,
  parking_type text,
  facilities text[] NOT NULL DEFAULT '{}',
  time_zone text NOT NULL,
  opening_times bytea,
  charging_when_closed boolean NOT NULL DEFAULT true,
  operator bytea,
  help_phone text,
  more bytea NOT NULL DEFAULT '{}',
  last_updated timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX location_updated ON stations.location (tenant_id, last_updated, id);

CREATE TABLE stations.station (
  id text PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  id_key text NOT NULL UNIQUE,
  state text NOT NULL CHECK (state IN ('approved', 'pending', 'refused')),
  profile smallint NOT NULL DEFAULT 0 CHECK (profile BETWEEN 0 AND 3),
  password_hash bytea,
  assume_protocol text,
  protocol text,
  connection uuid,
  online boolean NOT NULL DEFAULT false,
  connected_at timestamptz,
  disconnected_at timestamptz,
  last_seen_at timestamptz,
  remote text,
  vendor text,
  model text,
  serial text,
  firmware text,
  booted_at timestamptz,
  boot_reason text,
  created_at timestamptz NOT NULL
);
CREATE INDEX station_tenant ON stations.station (tenant_id, id);

CREATE TABLE stations.evse (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  uid text,
  location_id text,
  station_id text REFERENCES stations.station,
  number integer,
  evse_id text,
  status text NOT NULL DEFAULT 'UNKNOWN',
  status_at timestamptz,
  capabilities text[] NOT NULL DEFAULT '{}',
  floor_level text,
  physical_reference text,
  latitude numeric,
  longitude numeric,
  parking_restrictions text[] NOT NULL DEFAULT '{}',
  tariff_id text,
  more bytea NOT NULL DEFAULT '{}',
  last_updated timestamptz NOT NULL,
  UNIQUE (tenant_id, uid),
  UNIQUE (station_id, number),
  FOREIGN KEY (tenant_id, location_id) REFERENCES stations.location (tenant_id, id),
  CHECK ((station_id IS NULL) = (number IS NULL)),
  CHECK (uid IS NOT NULL OR station_id IS NOT NULL)
);
CREATE INDEX evse_location ON stations.evse (tenant_id, location_id);

CREATE TABLE stations.connector (
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  evse uuid NOT NULL REFERENCES stations.evse ON DELETE CASCADE,
  id text NOT NULL,
  standard text NOT NULL,
  format text NOT NULL,
  power_type text NOT NULL,
  max_voltage integer NOT NULL,
  max_amperage integer NOT NULL,
  max_electric_power integer,
  tariff_id text,
  tariff_ids text[] NOT NULL DEFAULT '{}',
  more bytea NOT NULL DEFAULT '{}',
  last_updated timestamptz NOT NULL,
  PRIMARY KEY (evse, id)
);

CREATE TABLE stations.connector_status (
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  station_id text NOT NULL REFERENCES stations.station,
  evse integer NOT NULL,
  connector integer NOT NULL,
  status text NOT NULL,
  raw text NOT NULL,
  error text,
  vendor_error text,
  detail text,
  at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  PRIMARY KEY (station_id, evse, connector)
);

CREATE TABLE stations.variable (
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  station_id text NOT NULL REFERENCES stations.station,
  component text NOT NULL DEFAULT '',
  component_instance text NOT NULL DEFAULT '',
  evse integer NOT NULL DEFAULT 0,
  variable text NOT NULL,
  variable_instance text NOT NULL DEFAULT '',
  attribute text NOT NULL DEFAULT 'Actual',
  value text,
  mutability text,
  at timestamptz NOT NULL,
  PRIMARY KEY (station_id, component, component_instance, evse, variable, variable_instance,
               attribute)
);

CREATE TABLE stations.reservation (
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  station_id text NOT NULL REFERENCES stations.station,
  number bigint NOT NULL,
  evse integer,
  token_uid text NOT NULL,
  token_type text,
  group_id text,
  expires_at timestamptz NOT NULL,
  state text NOT NULL CHECK (state IN ('ACTIVE', 'USED', 'CANCELLED', 'EXPIRED')),
  last_updated timestamptz NOT NULL,
  PRIMARY KEY (station_id, number)
);

CREATE TABLE stations.charging_profile (
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  station_id text NOT NULL REFERENCES stations.station,
  evse integer NOT NULL,
  number bigint NOT NULL,
  purpose text NOT NULL,
  stack_level integer NOT NULL,
  transaction text,
  body bytea NOT NULL,
  installed_at timestamptz NOT NULL,
  PRIMARY KEY (station_id, evse, number)
);

CREATE TABLE stations.command (
  id uuid PRIMARY KEY,
  position bigint GENERATED ALWAYS AS IDENTITY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  station_id text NOT NULL REFERENCES stations.station,
  action text NOT NULL,
  neutral boolean NOT NULL,
  payload bytea NOT NULL,
  origin text NOT NULL DEFAULT '',
  status text NOT NULL
    CHECK (status IN ('queued', 'sent', 'answered', 'failed', 'timeout', 'expired')),
  queued_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  sent_at timestamptz,
  done_at timestamptz,
  reply bytea,
  error text,
  trace text NOT NULL
);
CREATE INDEX command_open ON stations.command (station_id, position)
  WHERE status IN ('queued', 'sent');
CREATE INDEX command_station ON stations.command (station_id, position DESC);
"""

NAMES = [
    *("location", "station", "evse", "connector", "connector_status"),
    *("variable", "reservation", "charging_profile", "command"),
]

VIEWS = """
CREATE VIEW stations.v_evse WITH (security_invoker = true) AS
SELECT e.tenant_id, e.id, e.uid, e.evse_id, e.station_id, e.number, e.location_id, e.status,
  e.status_at, e.last_updated, coalesce(l.time_zone, 'UTC') AS time_zone, l.name AS location_name,
  l.country, coalesce(e.tariff_id, c.tariff_id) AS tariff_id, c.connector_id,
  c.max_electric_power, c.power_type
FROM stations.evse e
LEFT JOIN stations.location l ON l.tenant_id = e.tenant_id AND l.id = e.location_id
LEFT JOIN LATERAL (
  SELECT min(id) AS connector_id, min(coalesce(tariff_id, tariff_ids[1])) AS tariff_id,
    max(max_electric_power) AS max_electric_power, min(power_type) AS power_type
  FROM stations.connector WHERE evse = e.id) c ON true;
GRANT SELECT ON stations.v_evse TO hub_app, hub_system;
"""


def upgrade() -> None:
    op.execute(room("stations"))
    op.execute(TABLES)
    for name in NAMES:
        op.execute(tenant_table(f"stations.{name}"))
    op.execute(VIEWS)
