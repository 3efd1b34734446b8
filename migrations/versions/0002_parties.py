"""Parties, connected platforms (partners) with their credentials and endpoints, agreements."""

from alembic import op

from hub.runtime.schema import room, tenant_table

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE parties.partner (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  name text NOT NULL,
  state text NOT NULL DEFAULT 'PLANNED'
    CHECK (state IN ('PLANNED', 'CONNECTED', 'OFFLINE', 'SUSPENDED')),
  version text,
  versions_url text,
  token_out bytea,
  token_out_previous bytea,
  token_style text NOT NULL DEFAULT 'base64'
    CHECK (token_style IN ('base64', 'raw', 'base64-newline')),
  created_at timestamptz NOT NULL,
  connected_at timestamptz,
  last_seen_at timestamptz,
  UNIQUE (tenant_id, id)
);

CREATE TABLE parties.party (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  partner_id uuid,
  country_code text NOT NULL CHECK (country_code ~ '^[A-Z]{2}$'),
  party_id text NOT NULL CHECK (party_id ~ '^[A-Z0-9]{1,3}$'),
  role text NOT NULL
    CHECK (role IN ('CPO', 'EMSP', 'HUB', 'NAP', 'NSP', 'OTHER', 'SCSP')),
  name text NOT NULL,
  website text,
  UNIQUE (tenant_id, country_code, party_id, role),
  FOREIGN KEY (tenant_id, partner_id) REFERENCES parties.partner (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX party_partner ON parties.party (partner_id);

CREATE TABLE parties.credential (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  partner_id uuid NOT NULL,
  hash bytea NOT NULL UNIQUE,
  kind text NOT NULL CHECK (kind IN ('registration', 'callback', 'access')),
  created_at timestamptz NOT NULL,
  used_at timestamptz,
  expires_at timestamptz,
  FOREIGN KEY (tenant_id, partner_id) REFERENCES parties.partner (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX credential_partner ON parties.credential (partner_id);

CREATE TABLE parties.endpoint (
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  partner_id uuid NOT NULL,
  module text NOT NULL,
  role text NOT NULL CHECK (role IN ('SENDER', 'RECEIVER')),
  url text NOT NULL,
  PRIMARY KEY (partner_id, module, role),
  FOREIGN KEY (tenant_id, partner_id) REFERENCES parties.partner (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE parties.agreement (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  partner_id uuid NOT NULL,
  module text NOT NULL,
  valid_from timestamptz NOT NULL,
  valid_until timestamptz,
  UNIQUE (partner_id, module),
  FOREIGN KEY (tenant_id, partner_id) REFERENCES parties.partner (tenant_id, id) ON DELETE CASCADE
);
"""

LOGINS = """
CREATE TABLE parties.api_token (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  name text NOT NULL,
  hash bytea NOT NULL UNIQUE,
  scopes text[] NOT NULL,
  created_at timestamptz NOT NULL,
  revoked_at timestamptz,
  expires_at timestamptz
);
"""

VIEWS = """
CREATE VIEW parties.v_partner WITH (security_invoker = true) AS
  SELECT id, tenant_id, name, state FROM parties.partner;
CREATE VIEW parties.v_party WITH (security_invoker = true) AS
  SELECT id, tenant_id, partner_id, country_code, party_id, role, name FROM parties.party;
GRANT SELECT ON parties.v_partner, parties.v_party TO hub_app, hub_system;
"""


def upgrade() -> None:
    op.execute(room("parties"))
    op.execute(TABLES)
    op.execute(LOGINS)
    for table in ("partner", "party", "credential", "endpoint", "agreement", "api_token"):
        op.execute(tenant_table(f"parties.{table}"))
    op.execute(VIEWS)
