"""The journal: accounts, transactions, legs, periods, and the only functions that may write them.

The application has EXECUTE and SELECT. What it may call runs as the owner with a pinned search path
and takes its book from ``hub.tenant``. Those that write reach every row by key, so they forbid
the planner the scans that it would choose for tables without statistics yet. Neither
transactions nor legs carry foreign keys: key-share locks on a book's or a hot account's row
would serialise all postings; the guards below and the proofs stand in for them.
"""

from alembic import op

from hub.runtime.schema import room, tenant_table

revision = "0004"
down_revision = "0003"

TABLES = """
CREATE TABLE ledger.chart (
  pattern text PRIMARY KEY,
  type text NOT NULL CHECK (type IN ('A', 'L', 'E', 'R', 'X', 'M')),
  normal smallint NOT NULL CHECK (normal IN (1, -1)),
  mode text NOT NULL CHECK (mode IN ('s', 'f')),
  floor bigint,
  note text NOT NULL
);

-- Postgres parses and plans a table's CHECKs anew in every statement that writes to it, which was
-- an eighth of a posting. Domains and the triggers below hold the same rules for far less.
CREATE DOMAIN ledger.currency AS text COLLATE "C" CHECK (VALUE ~ '^[A-Z]{3}$');
CREATE DOMAIN ledger.code AS text COLLATE "C" CHECK (length(VALUE) <= 200);
CREATE DOMAIN ledger.held AS bigint CHECK (VALUE >= 0);

CREATE TABLE ledger.account (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES runtime.tenant,
  code ledger.code NOT NULL,
  currency ledger.currency NOT NULL,
  type text NOT NULL,
  normal smallint NOT NULL,
  mode text NOT NULL,
  floor bigint,
  ceiling bigint,
  balance bigint NOT NULL DEFAULT 0,
  pending_dr ledger.held NOT NULL DEFAULT 0,
  pending_cr ledger.held NOT NULL DEFAULT 0,
  version bigint NOT NULL DEFAULT 0,
  fold_xid xid8 NOT NULL DEFAULT '0'::xid8,
  UNIQUE (code, currency, tenant_id)
) WITH (fillfactor = 50);

CREATE TABLE ledger.txn (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  idem text COLLATE "C" NOT NULL,
  request_hash bytea NOT NULL,
  kind text NOT NULL,
  phase text NOT NULL,
  currency text NOT NULL,
  resolves_txn_id uuid,
  reverses_txn_id uuid,
  effective_at timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL,
  period date NOT NULL,
  ref_type text NOT NULL,
  ref_id text NOT NULL,
  event_ref text,
  memo text NOT NULL,
  expires_at timestamptz,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT txn_idem UNIQUE (idem, tenant_id)
);
CREATE UNIQUE INDEX txn_resolved_once ON ledger.txn (resolves_txn_id)
  WHERE resolves_txn_id IS NOT NULL;
CREATE UNIQUE INDEX txn_reversed_once ON ledger.txn (reverses_txn_id)
  WHERE reverses_txn_id IS NOT NULL;
CREATE INDEX txn_event ON ledger.txn (event_ref) WHERE event_ref IS NOT NULL;

CREATE TABLE ledger.leg (
  tenant_id uuid NOT NULL,
  txn_id uuid NOT NULL,
  account_id bigint NOT NULL,
  amount bigint NOT NULL,
  balance_after bigint,
  account_version bigint,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  seq smallint NOT NULL,
  pending boolean NOT NULL,
  PRIMARY KEY (txn_id, seq)
);
CREATE INDEX leg_account ON ledger.leg (account_id, xid);

CREATE TABLE ledger.open_pending (
  tenant_id uuid NOT NULL,
  txn_id uuid NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (txn_id)
);
CREATE INDEX open_pending_due ON ledger.open_pending (tenant_id, expires_at);

CREATE TABLE ledger.closing (
  tenant_id uuid PRIMARY KEY REFERENCES runtime.tenant,
  closed_through date,
  soft_through date,
  CHECK (soft_through >= closed_through)
);
"""

# Segments after a prefix are free text (party and contract ids); type M is off-balance.
CHART = r"""
INSERT INTO ledger.chart (pattern, type, normal, mode, floor, note) VALUES
('^psp\.(clearing\.\S+|reserve|disputed)$', 'A', 1, 'f', NULL, 'money at the card processor'),
('^bank\.\S+$', 'A', 1, 'f', NULL, 'bank accounts, and money in flight'),
('^ar\.(driver|fleet|emsp|cpo_recovery)\.\S+$', 'A', 1, 's', NULL, 'receivables'),
('^ar\.subscription$', 'A', 1, 's', NULL, 'receivable subscriptions'),
('^ap\.(cpo|emsp_credit|reimburse)\.\S+$', 'L', -1, 's', NULL, 'payables'),
('^wallet\.\S+$', 'L', -1, 's', 0, 'prepaid balances: never below zero'),
('^(refunds\.payable|unapplied\.cash|suspense)$', 'L', -1, 'f', NULL, 'must trend to zero'),
('^tax\.output\.[A-Z]{2}\.[0-9]+(\.[0-9]+)?$', 'L', -1, 'f', NULL, 'VAT owed, by rate'),
('^tax\.input\.[A-Z]{2}\.[0-9]+(\.[0-9]+)?$', 'A', 1, 'f', NULL, 'VAT reclaimable, by rate'),
('^tax\.reverse_charge\.[A-Z]{2}$', 'L', -1, 'f', NULL, 'VAT the customer accounts for'),
('^deferred\.(subscription|voucher)$', 'L', -1, 'f', NULL, 'income received early'),
('^revenue\.(energy|time|parking|start|reservation|subscription|hub_fee|roaming_margin|waived)$',
 'R', -1, 'f', NULL, 'income, without VAT'),
('^cogs\.(energy\.cpo|roaming)$', 'E', 1, 'f', NULL, 'what sold energy cost us'),
('^expense\.(psp_fee|dispute_fee|writeoff|goodwill)$', 'E', 1, 'f', NULL, 'other costs'),
('^(rounding|fx\.gain_loss|fee\.stripe_fx)$', 'X', 1, 'f', NULL, 'residues and exchange'),
('^fx\.position\.[A-Z]{3}$', 'X', 1, 'f', NULL, 'exchange positions'),
('^ic\.[0-9a-f-]{36}$', 'A', 1, 'f', NULL, 'owed by (or to) another book of this platform'),
('^memo\.(hold|hold_contra|cdr_expected|cdr_expected_contra)$', 'M', 1, 'f', NULL, 'off-balance');
"""

GUARDS = """
CREATE FUNCTION ledger.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'ledger.% is append-only', TG_TABLE_NAME
    USING ERRCODE = 'HL006', HINT = 'post a reversal instead';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.txn
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.leg
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

-- The legs of one statement balance by themselves, so that every transaction does at any time.
CREATE FUNCTION ledger.check_legs() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE bad record;
BEGIN
  SELECT l.txn_id, sum(l.amount) AS total, count(*) AS n,
    bool_and(t.xid = pg_current_xact_id() AND l.xid = t.xid
      AND t.phase = CASE WHEN l.pending THEN 'pending' ELSE 'post' END) AS here
  INTO bad
  FROM added l
  LEFT JOIN LATERAL (SELECT t.xid, t.phase, t.currency FROM ledger.txn t
    WHERE t.tenant_id = l.tenant_id AND t.id = l.txn_id OFFSET 0) t ON true
  LEFT JOIN LATERAL (SELECT a.tenant_id, a.currency FROM ledger.account a
    WHERE a.id = l.account_id OFFSET 0) a ON true
  GROUP BY l.tenant_id, l.txn_id
  HAVING sum(l.amount) <> 0 OR count(*) < 2 OR NOT bool_and(coalesce(
    t.xid = pg_current_xact_id() AND l.xid = t.xid
    AND t.phase = CASE WHEN l.pending THEN 'pending' ELSE 'post' END
    AND a.currency = t.currency AND a.tenant_id = l.tenant_id AND l.amount <> 0, false))
  LIMIT 1;
  IF FOUND AND bad.here THEN
    RAISE EXCEPTION 'transaction % does not balance in its currency: sum %, % legs',
      bad.txn_id, bad.total, bad.n USING ERRCODE = 'HL002';
  ELSIF FOUND THEN
    RAISE EXCEPTION 'a leg belongs to the commit of its transaction' USING ERRCODE = 'HL006';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER balanced AFTER INSERT ON ledger.leg REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_legs();

CREATE FUNCTION ledger.check_txn() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NEW.phase IN ('post', 'pending') THEN
    IF (SELECT true FROM ledger.leg l WHERE l.txn_id = NEW.id LIMIT 1) IS NULL THEN
      RAISE EXCEPTION 'transaction % does not balance: it has no legs', NEW.id
        USING ERRCODE = 'HL002';
    END IF;
  ELSIF NEW.phase NOT IN ('void', 'expire') OR NEW.resolves_txn_id IS NULL THEN
    RAISE EXCEPTION 'transaction % is no posting and resolves none', NEW.id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'txn_phase';
  END IF;
  IF NEW.reverses_txn_id IS NOT NULL AND NEW.phase <> 'post'
     OR length(NEW.idem) NOT BETWEEN 1 AND 255 THEN
    RAISE EXCEPTION 'only a posting reverses, under a key of 1 to 255 characters'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'txn_rules';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER has_legs AFTER INSERT ON ledger.txn DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION ledger.check_txn();

CREATE FUNCTION ledger.check_limits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.floor IS NULL AND NEW.ceiling IS NULL THEN
    RETURN NEW;
  ELSIF NEW.mode <> 's' THEN
    RAISE EXCEPTION 'a folded account has no limits'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'account_limits_are_sync';
  ELSIF NEW.normal * NEW.balance
        - (CASE NEW.normal WHEN 1 THEN NEW.pending_cr ELSE NEW.pending_dr END) < NEW.floor THEN
    RAISE EXCEPTION '% would fall below its floor', NEW.code
      USING ERRCODE = 'check_violation', CONSTRAINT = 'account_floor';
  ELSIF NEW.normal * NEW.balance
        + (CASE NEW.normal WHEN 1 THEN NEW.pending_dr ELSE NEW.pending_cr END) > NEW.ceiling THEN
    RAISE EXCEPTION '% would pass its ceiling', NEW.code
      USING ERRCODE = 'check_violation', CONSTRAINT = 'account_ceiling';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER within_limits BEFORE INSERT OR UPDATE ON ledger.account
  FOR EACH ROW EXECUTE FUNCTION ledger.check_limits();
"""

WRITE = """
CREATE FUNCTION ledger.here() RETURNS uuid
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE book uuid := nullif(current_setting('hub.tenant', true), '')::uuid;
BEGIN
  IF book IS NULL THEN
    RAISE EXCEPTION 'hub.tenant is not set' USING ERRCODE = 'HL007';
  END IF;
  RETURN book;
END $$;

CREATE FUNCTION ledger.open_account(book uuid, wanted text, money text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE found_rule ledger.chart;
BEGIN
  SELECT * INTO found_rule FROM ledger.chart WHERE wanted ~ pattern LIMIT 1;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no rule of the chart of accounts matches %', wanted
      USING ERRCODE = 'HL003', DETAIL = wanted;
  END IF;
  INSERT INTO ledger.account (tenant_id, code, currency, type, normal, mode, floor)
  VALUES (book, wanted, money, found_rule.type, found_rule.normal, found_rule.mode,
          found_rule.floor)
  ON CONFLICT DO NOTHING;
END $$;

-- Ends a pending transaction for the resolving one, whose legs must lie within the pending's.
CREATE FUNCTION ledger.release(book uuid, pending_id uuid, posted json) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM ledger.open_pending WHERE tenant_id = book AND txn_id = pending_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no open pending transaction %', pending_id
      USING ERRCODE = 'HL004', DETAIL = pending_id::text;
  END IF;
  IF EXISTS (
    SELECT FROM (SELECT a, sum(v) AS v FROM json_to_recordset(posted) AS l (a text, v bigint)
                 GROUP BY a) p
    LEFT JOIN (SELECT a.code, sum(l.amount) AS v FROM ledger.leg l
               JOIN ledger.account a ON a.id = l.account_id
               WHERE l.tenant_id = book AND l.txn_id = pending_id GROUP BY a.code) h
      ON h.code = p.a
    WHERE h.v IS NULL OR sign(h.v) <> sign(p.v) OR abs(p.v) > abs(h.v)) THEN
    RAISE EXCEPTION 'more than was pending in %', pending_id
      USING ERRCODE = 'HL005', DETAIL = pending_id::text;
  END IF;
  PERFORM FROM ledger.account WHERE mode = 's' AND id IN (
    SELECT account_id FROM ledger.leg WHERE tenant_id = book AND txn_id = pending_id)
    ORDER BY id FOR NO KEY UPDATE;
  UPDATE ledger.account a SET pending_dr = a.pending_dr - d.dr, pending_cr = a.pending_cr - d.cr
  FROM (SELECT account_id, coalesce(sum(amount) FILTER (WHERE amount > 0), 0) AS dr,
               coalesce(-sum(amount) FILTER (WHERE amount < 0), 0) AS cr
        FROM ledger.leg WHERE tenant_id = book AND txn_id = pending_id GROUP BY account_id) d
  WHERE a.id = d.account_id AND a.mode = 's';
END $$;

-- Writes any number of transactions of one phase into the tenant's book. ``entries`` and ``legs``
-- are JSON arrays (a leg names its transaction by t); ``ends`` is the pending transaction that a
-- single entry resolves. Answers NULL when all are new, else the id under each entry's key. Only
-- generic plans, made of lookups by key: planning would cost more than all the rest.
CREATE FUNCTION ledger.post(as_of timestamptz, as_phase text, ends uuid, entries json, legs json)
RETURNS uuid[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  book uuid := nullif(current_setting('hub.tenant', true), '')::uuid;
  txns uuid[]; seqs smallint[]; accounts bigint[]; amounts bigint[]; sync bigint[];
  missing boolean; written integer; clash text; stand uuid[];
BEGIN
  IF book IS NULL THEN PERFORM ledger.here(); END IF;
  -- A closing waits for the postings under way, and they for it.
  PERFORM pg_advisory_xact_lock_shared(1279870791, hashtext(book::text));
  FOR attempt IN 1..2 LOOP
    SELECT array_agg(l.t), array_agg(l.s), array_agg(a.id), array_agg(l.v),
      array_agg(a.id) FILTER (WHERE a.mode = 's'), bool_or(a.id IS NULL)
    INTO txns, seqs, accounts, amounts, sync, missing
    FROM json_to_recordset(legs) AS l (t uuid, s smallint, a text, c text, v bigint)
    LEFT JOIN LATERAL (SELECT a.id, a.mode FROM ledger.account a
      WHERE a.code = l.a AND a.currency = l.c AND a.tenant_id = book OFFSET 0) a ON true;
    EXIT WHEN missing IS NOT TRUE;
    PERFORM ledger.open_account(book, o.a, o.c) FROM (
      SELECT DISTINCT l.a, l.c FROM json_to_recordset(legs) AS l (a text, c text)
      WHERE NOT EXISTS (SELECT FROM ledger.account a
        WHERE a.code = l.a AND a.currency = l.c AND a.tenant_id = book)
      ORDER BY l.a, l.c) o;
  END LOOP;
  IF ends IS NOT NULL THEN
    PERFORM FROM ledger.open_pending p WHERE p.tenant_id = book AND p.txn_id = ends FOR UPDATE;
    IF NOT EXISTS (SELECT FROM ledger.txn t
                   WHERE t.tenant_id = book AND t.idem = entries -> 0 ->> 'idem') THEN
      PERFORM ledger.release(book, ends, legs);
    END IF;
  END IF;
  IF array_length(sync, 1) > 1 THEN
    PERFORM FROM ledger.account a WHERE a.id = ANY(sync) ORDER BY a.id FOR NO KEY UPDATE;
  END IF;
  WITH t AS (
    INSERT INTO ledger.txn (tenant_id, id, idem, request_hash, kind, phase, currency,
      resolves_txn_id, reverses_txn_id, effective_at, recorded_at, period, ref_type, ref_id,
      event_ref, memo, expires_at)
    SELECT book, e.id, e.idem, e.hash, e.kind, as_phase, e.ccy, ends, e.rev, e.eff, as_of,
      greatest(date_trunc('month', e.eff AT TIME ZONE 'UTC')::date,
               (CASE e.kind WHEN 'adjustment' THEN c.closed_through
                ELSE greatest(c.closed_through, c.soft_through) END + interval '1 month')::date),
      e.rt, e.rid, e.ev, e.memo, e.exp
    FROM json_to_recordset(entries) AS e (id uuid, idem text, hash bytea, kind text, ccy text,
      rev uuid, eff timestamptz, rt text, rid text, ev text, memo text, exp timestamptz)
    LEFT JOIN ledger.closing c ON c.tenant_id = book
    ORDER BY e.idem
    ON CONFLICT ON CONSTRAINT txn_idem DO NOTHING
    RETURNING id),
  l AS (
    SELECT u.* FROM unnest(txns, seqs, accounts, amounts) WITH ORDINALITY AS u (t, s, a, v, n)
    JOIN t ON t.id = u.t),
  moved AS (
    UPDATE ledger.account a SET
      balance = a.balance + CASE as_phase WHEN 'post' THEN d.v ELSE 0 END,
      version = a.version + CASE as_phase WHEN 'post' THEN d.k ELSE 0 END,
      pending_dr = a.pending_dr + CASE as_phase WHEN 'pending' THEN d.dr ELSE 0 END,
      pending_cr = a.pending_cr + CASE as_phase WHEN 'pending' THEN d.dr - d.v ELSE 0 END
    FROM (SELECT l.a, sum(l.v)::bigint AS v, count(*) AS k,
                 sum(greatest(l.v, 0))::bigint AS dr
          FROM l WHERE l.a = ANY(sync) GROUP BY l.a) d
    WHERE a.id = d.a
    RETURNING a.id, a.balance - d.v AS balance, a.version - d.k AS version),
  w AS (
    INSERT INTO ledger.leg (tenant_id, txn_id, seq, account_id, amount, pending, balance_after,
      account_version)
    SELECT book, l.t, l.s, l.a, l.v, as_phase = 'pending',
      CASE as_phase WHEN 'post' THEN m.balance + sum(l.v) OVER w END,
      CASE as_phase WHEN 'post' THEN m.version + row_number() OVER w END
    FROM l LEFT JOIN moved m ON m.id = l.a
    WINDOW w AS (PARTITION BY l.a ORDER BY l.n))
  SELECT count(*) INTO written FROM t;
  IF as_phase = 'pending' THEN
    INSERT INTO ledger.open_pending (tenant_id, txn_id, expires_at)
    SELECT book, e.id, e.exp FROM json_to_recordset(entries) AS e (id uuid, exp timestamptz)
    WHERE EXISTS (SELECT FROM ledger.txn t WHERE t.tenant_id = book AND t.id = e.id);
  END IF;
  IF written < json_array_length(entries) THEN
    SELECT min(e.idem) FILTER (WHERE t.request_hash <> e.hash), array_agg(t.id ORDER BY e.n)
    INTO clash, stand
    FROM json_to_recordset(entries) AS e (n integer, idem text, hash bytea)
    JOIN ledger.txn t ON t.tenant_id = book AND t.idem = e.idem;
    IF clash IS NOT NULL THEN
      RAISE EXCEPTION 'idempotency key % was used for another entry', clash
        USING ERRCODE = 'HL001', DETAIL = clash;
    END IF;
  END IF;
  RETURN stand;
END $$;

-- The plain posting of one entry, the hub's most frequent one: few small statements, each a lookup
-- by key. What is rare (a new account, several that keep their balance, one named twice) goes the
-- general way. Answers NULL when it is new, else the id under its key.
CREATE FUNCTION ledger.post_one(as_of timestamptz, new_id uuid, key text, hash bytea, as_kind text,
  money text, eff timestamptz, rt text, rid text, note text, codes text[], amounts bigint[])
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  book uuid := nullif(current_setting('hub.tenant', true), '')::uuid;
  known text[]; ids bigint[]; sync bigint[]; which bigint; change bigint;
  reached bigint; step bigint; stand uuid; was bytea;
BEGIN
  SELECT array_agg(a.code), array_agg(a.id), array_agg(a.id) FILTER (WHERE a.mode = 's')
  INTO known, ids, sync
  FROM ledger.account a
  WHERE a.code = ANY(codes) AND a.currency = money AND a.tenant_id = book;
  IF book IS NULL OR cardinality(ids) IS DISTINCT FROM cardinality(codes)
     OR cardinality(sync) > 1 THEN
    RETURN (ledger.post(as_of, 'post', NULL,
      json_build_array(json_build_object('n', 0, 'id', new_id, 'idem', key, 'hash', hash,
        'kind', as_kind, 'ccy', money, 'eff', eff, 'rt', rt, 'rid', rid, 'memo', note)),
      (SELECT json_agg(json_build_object('t', new_id, 's', u.s, 'a', u.a, 'c', money, 'v', u.v)
                       ORDER BY u.s)
       FROM unnest(codes, amounts) WITH ORDINALITY AS u (a, v, s))))[1];
  END IF;
  -- A closing waits for the postings under way, and they for it.
  PERFORM pg_advisory_xact_lock_shared(1279870791, hashtext(book::text));
  INSERT INTO ledger.txn (tenant_id, id, idem, request_hash, kind, phase, currency, effective_at,
    recorded_at, period, ref_type, ref_id, memo)
  VALUES (book, new_id, key, hash, as_kind, 'post', money, eff, as_of,
    greatest(date_trunc('month', eff AT TIME ZONE 'UTC')::date, (
      SELECT (CASE as_kind WHEN 'adjustment' THEN c.closed_through
              ELSE greatest(c.closed_through, c.soft_through) END + interval '1 month')::date
      FROM ledger.closing c WHERE c.tenant_id = book)), rt, rid, note)
  ON CONFLICT ON CONSTRAINT txn_idem DO NOTHING;
  IF NOT FOUND THEN
    SELECT t.id, t.request_hash INTO stand, was FROM ledger.txn t
    WHERE t.tenant_id = book AND t.idem = key;
    IF was <> hash THEN
      RAISE EXCEPTION 'idempotency key % was used for another entry', key
        USING ERRCODE = 'HL001', DETAIL = key;
    END IF;
    RETURN stand;
  END IF;
  IF sync IS NOT NULL THEN
    which := sync[1];
    change := amounts[array_position(codes, known[array_position(ids, which)])];
    UPDATE ledger.account a SET balance = a.balance + change, version = a.version + 1
    WHERE a.id = which
    RETURNING a.balance, a.version INTO reached, step;
  END IF;
  INSERT INTO ledger.leg (tenant_id, txn_id, seq, account_id, amount, pending, balance_after,
    account_version)
  SELECT book, new_id, array_position(codes, known[n]), ids[n],
    amounts[array_position(codes, known[n])], false,
    CASE ids[n] WHEN which THEN reached END, CASE ids[n] WHEN which THEN step END
  FROM generate_series(1, cardinality(ids)) AS n;
  RETURN NULL;
END $$;

-- The same in another hosted book, for the system alone.
CREATE FUNCTION ledger.post_in(book uuid, as_of timestamptz, entries json, legs json)
RETURNS uuid[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE before text := current_setting('hub.tenant', true); stand uuid[];
BEGIN
  PERFORM set_config('hub.tenant', book::text, true);
  stand := ledger.post(as_of, 'post', NULL, entries, legs);
  PERFORM set_config('hub.tenant', before, true);
  RETURN stand;
END $$;
"""

READ = """
-- Moves what no running transaction can still add to into the account's balance. Commits arrive
-- out of order, so the mark is a transaction horizon: every xid below it has ended.
CREATE FUNCTION ledger.fold_account(which bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE mark xid8; horizon xid8; added bigint; k bigint;
BEGIN
  SELECT fold_xid INTO mark FROM ledger.account
  WHERE id = which AND mode = 'f' FOR NO KEY UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN 0; END IF;
  horizon := pg_snapshot_xmin(pg_current_snapshot());
  SELECT coalesce(sum(amount) FILTER (WHERE NOT pending), 0), count(*) INTO added, k
  FROM ledger.leg WHERE account_id = which AND xid >= mark AND xid < horizon;
  IF k > 0 THEN
    UPDATE ledger.account SET balance = balance + added, fold_xid = horizon WHERE id = which;
  END IF;
  RETURN k;
END $$;

CREATE FUNCTION ledger.fold() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(sum(ledger.fold_account(id)), 0)::bigint FROM (
    SELECT id FROM ledger.account
    WHERE tenant_id = ledger.here() AND mode = 'f' ORDER BY id) a
$$;

CREATE FUNCTION ledger.fold_all() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(sum(ledger.fold_account(id)), 0)::bigint FROM (
    SELECT id FROM ledger.account WHERE mode = 'f' ORDER BY id) a
$$;

CREATE FUNCTION ledger.set_limits(wanted text, money text, low bigint, high bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM ledger.open_account(ledger.here(), wanted, money);
  UPDATE ledger.account SET floor = low, ceiling = high
  WHERE tenant_id = ledger.here() AND code = wanted AND currency = money;
END $$;

-- Closes months through ``month`` (its first day): 'soft' or 'closed'; never reopens.
CREATE FUNCTION ledger.close_through(month date, hard boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE book uuid := ledger.here();
BEGIN
  PERFORM pg_advisory_xact_lock(1279870791, hashtext(book::text));
  INSERT INTO ledger.closing AS c (tenant_id, closed_through, soft_through)
  VALUES (book, CASE WHEN hard THEN month END, month)
  ON CONFLICT (tenant_id) DO UPDATE SET
    closed_through = greatest(c.closed_through, excluded.closed_through),
    soft_through = greatest(c.soft_through, excluded.soft_through);
END $$;

-- Only folded accounts read legs: what came after the fold, and what is still pending. OFFSET 0
-- keeps the planner at one lookup per open reservation, never at all legs of a hot account.
CREATE VIEW ledger.v_balance WITH (security_invoker = true) AS
SELECT a.tenant_id, a.id, a.code::text, a.currency::text, a.type, a.normal, a.mode, a.floor,
  a.ceiling, a.version,
  CASE a.mode WHEN 's' THEN a.balance ELSE (a.balance + (
    SELECT coalesce(sum(l.amount), 0) FROM ledger.leg l
    WHERE l.account_id = a.id AND l.xid >= a.fold_xid AND NOT l.pending))::bigint END AS balance,
  CASE a.mode WHEN 's' THEN a.pending_dr::bigint ELSE coalesce(h.dr, 0) END AS pending_debit,
  CASE a.mode WHEN 's' THEN a.pending_cr::bigint ELSE coalesce(h.cr, 0) END AS pending_credit
FROM ledger.account a LEFT JOIN LATERAL (
  SELECT sum(greatest(l.amount, 0))::bigint AS dr, sum(-least(l.amount, 0))::bigint AS cr
  FROM ledger.open_pending p CROSS JOIN LATERAL (
    SELECT l.account_id, l.amount FROM ledger.leg l
    WHERE l.tenant_id = p.tenant_id AND l.txn_id = p.txn_id OFFSET 0) l
  WHERE p.tenant_id = a.tenant_id AND l.account_id = a.id AND a.mode = 'f') h ON true;

CREATE VIEW ledger.v_txn WITH (security_invoker = true) AS
SELECT tenant_id, id, idem, kind, phase, currency, resolves_txn_id, reverses_txn_id,
  effective_at, recorded_at, period, ref_type, ref_id, event_ref, memo, expires_at
FROM ledger.txn;

CREATE VIEW ledger.v_leg WITH (security_invoker = true) AS
SELECT l.tenant_id, l.txn_id, l.seq, a.code AS account, a.currency, l.amount, l.pending
FROM ledger.leg l JOIN ledger.account a ON a.id = l.account_id;

-- Events whose books do not mirror each other; one's own when the role sees one book only.
CREATE FUNCTION ledger.unmirrored(everyone boolean)
RETURNS TABLE (event_ref text, book uuid, other text, currency text, mine numeric, theirs numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH side AS (
    SELECT t.event_ref, t.tenant_id::text AS book, substr(a.code, 4) AS other, a.currency,
           sum(l.amount) AS v
    FROM ledger.account a
    JOIN ledger.leg l ON l.account_id = a.id AND NOT l.pending
    JOIN ledger.txn t ON t.tenant_id = l.tenant_id AND t.id = l.txn_id
    WHERE a.code LIKE 'ic.%' GROUP BY 1, 2, 3, 4)
  SELECT x.event_ref, x.book::uuid, x.other, x.currency, x.v, coalesce(y.v, 0)
  FROM side x LEFT JOIN side y
    ON y.event_ref = x.event_ref AND y.book = x.other AND y.other = x.book
    AND y.currency = x.currency
  WHERE x.v + coalesce(y.v, 0) <> 0
    AND (everyone OR ledger.here()::text IN (x.book, x.other))
$$;
CREATE FUNCTION ledger.unmirrored_here()
RETURNS TABLE (event_ref text, book uuid, other text, currency text, mine numeric, theirs numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT * FROM ledger.unmirrored(false)
$$;
CREATE FUNCTION ledger.unmirrored_all()
RETURNS TABLE (event_ref text, book uuid, other text, currency text, mine numeric, theirs numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT * FROM ledger.unmirrored(true)
$$;
"""

GRANTS = """
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.here(),
  ledger.post(timestamptz, text, uuid, json, json), ledger.fold(),
  ledger.post_one(timestamptz, uuid, text, bytea, text, text, timestamptz, text, text, text,
    text[], bigint[]),
  ledger.set_limits(text, text, bigint, bigint), ledger.close_through(date, boolean),
  ledger.unmirrored_here() TO hub_app, hub_system;
GRANT EXECUTE ON FUNCTION ledger.post_in(uuid, timestamptz, json, json), ledger.fold_all(),
  ledger.unmirrored_all()
  TO hub_system;
GRANT SELECT ON ledger.chart, ledger.v_balance, ledger.v_txn, ledger.v_leg TO hub_app, hub_system;
"""


def upgrade() -> None:
    op.execute(room("ledger"))
    op.execute(TABLES)
    op.execute(CHART)
    op.execute(GUARDS)
    op.execute(WRITE)
    op.execute(READ)
    for table in ("account", "txn", "leg", "open_pending", "closing"):
        op.execute(tenant_table(f"ledger.{table}", "SELECT"))
        # The functions above run as the owner and name their book in every statement.
        op.execute(
            f"CREATE POLICY owner ON ledger.{table} TO CURRENT_USER USING (true) WITH CHECK (true)"
        )
    op.execute(GRANTS)
