/**
 * All tables, as numbered migrations, forward only. One statement per entry, in SQLite's words;
 * `migrate.ts` translates the few that differ. Never edit a migration that was released.
 */

export type Migration = {
  readonly number: number;
  readonly name: string;
  /** The others have no use for it. */
  readonly only?: 'sqlite';
  readonly statements: readonly string[];
};

const nodes = `CREATE TABLE nodes (
  node_id TEXT PRIMARY KEY,
  epoch INTEGER NOT NULL CHECK (epoch > 0),
  started_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID`;

/** The promise of the product is the last CHECK: never negative, also when our code is wrong. */
const wallets = `CREATE TABLE wallets (
  wallet_id TEXT PRIMARY KEY,
  credits_nano_usd INTEGER NOT NULL CHECK (credits_nano_usd >= 0),
  debits_nano_usd INTEGER NOT NULL CHECK (debits_nano_usd >= 0),
  pending_nano_usd INTEGER NOT NULL CHECK (pending_nano_usd >= 0),
  created_at_ms INTEGER NOT NULL,
  CHECK (credits_nano_usd - debits_nano_usd - pending_nano_usd >= 0)
) STRICT, WITHOUT ROWID`;

const lots = `CREATE TABLE lots (
  lot_id TEXT PRIMARY KEY,
  wallet_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('demo', 'gift', 'invite', 'paid')),
  amount_nano_usd INTEGER NOT NULL CHECK (amount_nano_usd > 0),
  remaining_nano_usd INTEGER NOT NULL CHECK (remaining_nano_usd >= 0 AND remaining_nano_usd <= amount_nano_usd),
  source TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID`;

const lotsByWallet = 'CREATE INDEX lots_by_wallet ON lots (wallet_id) WHERE remaining_nano_usd > 0';

const accounts = `CREATE TABLE accounts (
  account_id TEXT PRIMARY KEY,
  debits_nano_usd INTEGER NOT NULL CHECK (debits_nano_usd >= 0),
  credits_nano_usd INTEGER NOT NULL CHECK (credits_nano_usd >= 0)
) STRICT, WITHOUT ROWID`;

/** Open holds only: a resolved one is its receipt. */
const holds = `CREATE TABLE holds (
  request_id TEXT PRIMARY KEY,
  wallet_id TEXT NOT NULL,
  amount_nano_usd INTEGER NOT NULL CHECK (amount_nano_usd >= 0),
  lifetime TEXT NOT NULL CHECK (lifetime IN ('process', 'job')),
  scopes TEXT NOT NULL,
  attempts TEXT NOT NULL,
  context TEXT NOT NULL,
  extension INTEGER NOT NULL,
  idempotency_id TEXT,
  node_id TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID`;

const budgets = `CREATE TABLE budgets (
  scope_key TEXT PRIMARY KEY,
  spent_nano_usd INTEGER NOT NULL CHECK (spent_nano_usd >= 0),
  pending_nano_usd INTEGER NOT NULL CHECK (pending_nano_usd >= 0)
) STRICT, WITHOUT ROWID`;

const idempotency = `CREATE TABLE idempotency (
  idempotency_id TEXT PRIMARY KEY,
  request_id TEXT NOT NULL,
  parameters_hash TEXT NOT NULL,
  expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID`;

const idempotencyByExpiry = 'CREATE INDEX idempotency_by_expiry ON idempotency (expires_at_ms)';

/**
 * Transfers of top-ups, refunds and corrections; those of requests follow from their receipts.
 * `transfer_key` is the position of its receipt times 128 plus its place in it: a receipt exists
 * once, so a transfer does. Only these kinds may take from a wallet. There is no kind for expiry: that balances never
 * expire is a property of the schema.
 */
const transfers = `CREATE TABLE transfers (
  transfer_key INTEGER PRIMARY KEY,
  transfer_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('post', 'cost', 'loss', 'topup', 'grant', 'refund_to_source', 'admin_adjust', 'suspense')),
  debit_account TEXT NOT NULL,
  credit_account TEXT NOT NULL,
  amount_nano_usd INTEGER NOT NULL CHECK (amount_nano_usd > 0),
  created_at_ms INTEGER NOT NULL,
  CHECK (debit_account <> credit_account),
  CHECK (substr(debit_account, 1, 7) <> 'wallet:' OR kind IN ('post', 'refund_to_source', 'admin_adjust'))
) STRICT`;

const chains = `CREATE TABLE chains (
  chain_id TEXT PRIMARY KEY,
  number INTEGER NOT NULL UNIQUE CHECK (number >= 0 AND number < 1024),
  sequence INTEGER NOT NULL,
  hash TEXT NOT NULL,
  indexed INTEGER NOT NULL CHECK (indexed >= 0)
) STRICT, WITHOUT ROWID`;

/**
 * `body` is the exact text that `hash` covers; the other columns repeat parts of it to be found by.
 * `position` is the number of the chain times 2^36 plus the sequence in it: new rows go to the end.
 */
const receipts = `CREATE TABLE receipts (
  position INTEGER PRIMARY KEY,
  receipt_id TEXT NOT NULL UNIQUE,
  wallet_id TEXT,
  created_at_ms INTEGER NOT NULL,
  previous_hash TEXT NOT NULL,
  hash TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT`;

/**
 * An index that is filled in blocks, up to `chains.indexed`: an index kept at every commit would
 * write one more page for nearly every receipt, because each wallet has its own place in it.
 */
const receiptsByWallet = `CREATE TABLE receipts_by_wallet (
  wallet_id TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (wallet_id, created_at_ms, position)
) STRICT, WITHOUT ROWID`;

const keys = `CREATE TABLE keys (
  key_id TEXT PRIMARY KEY,
  digest TEXT NOT NULL UNIQUE,
  last_four TEXT NOT NULL,
  name TEXT NOT NULL,
  wallet_id TEXT NOT NULL,
  project_id TEXT,
  limits TEXT NOT NULL,
  metadata TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER,
  revoked_at_ms INTEGER
) STRICT`;

const keysByWallet = 'CREATE INDEX keys_by_wallet ON keys (wallet_id, created_at_ms)';

const documents = `CREATE TABLE documents (
  document_id TEXT PRIMARY KEY,
  collection TEXT NOT NULL,
  id TEXT NOT NULL,
  parent TEXT NOT NULL,
  body TEXT NOT NULL,
  version INTEGER NOT NULL CHECK (version > 0),
  created_at_ms INTEGER NOT NULL,
  updated_at_ms INTEGER NOT NULL
) STRICT`;

const documentsByParent =
  'CREATE UNIQUE INDEX documents_by_parent ON documents (collection, parent, id)';
const documentsById = 'CREATE UNIQUE INDEX documents_by_id ON documents (collection, id)';

const requests = `CREATE TABLE requests (
  request_id TEXT PRIMARY KEY,
  wallet_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  project_id TEXT,
  created_at_ms INTEGER NOT NULL,
  duration_ms INTEGER NOT NULL,
  first_content_ms INTEGER,
  status INTEGER NOT NULL,
  error_code TEXT,
  dialect TEXT NOT NULL,
  operation TEXT NOT NULL,
  model TEXT NOT NULL,
  channel_id TEXT,
  charge_nano_usd INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  streamed INTEGER NOT NULL,
  detail TEXT NOT NULL
) STRICT`;

const requestsByTime = 'CREATE INDEX requests_by_time ON requests (created_at_ms, request_id)';
const requestsByWallet =
  'CREATE INDEX requests_by_wallet ON requests (wallet_id, created_at_ms, request_id)';

const blobs = `CREATE TABLE blobs (
  blob_id TEXT PRIMARY KEY,
  namespace TEXT NOT NULL,
  owner TEXT NOT NULL,
  body BLOB NOT NULL,
  byte_count INTEGER NOT NULL,
  detail TEXT NOT NULL,
  expires_at_ms INTEGER NOT NULL
) STRICT`;

const blobsByExpiry = 'CREATE INDEX blobs_by_expiry ON blobs (expires_at_ms)';

const blobBytes = `CREATE TABLE blob_bytes (
  namespace TEXT PRIMARY KEY,
  byte_count INTEGER NOT NULL CHECK (byte_count >= 0)
) STRICT, WITHOUT ROWID`;

const blobOwners = `CREATE TABLE blob_owners (
  namespace TEXT NOT NULL,
  owner TEXT NOT NULL,
  byte_count INTEGER NOT NULL CHECK (byte_count >= 0),
  PRIMARY KEY (namespace, owner)
) STRICT, WITHOUT ROWID`;

const blobsByOwner = 'CREATE INDEX blobs_by_owner ON blobs (namespace, owner, expires_at_ms)';

const countBlobOwners =
  'INSERT INTO blob_owners (namespace, owner, byte_count) SELECT namespace, owner, sum(byte_count) FROM blobs GROUP BY namespace, owner';

const audit = `CREATE TABLE audit (
  audit_id TEXT PRIMARY KEY,
  created_at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT`;

const auditByTime = 'CREATE INDEX audit_by_time ON audit (created_at_ms, audit_id)';

/** Up to where the journal is in these tables: the one row is written with the rows it speaks of. */
const journalPosition = `CREATE TABLE journal_position (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  sequence INTEGER NOT NULL,
  segment INTEGER NOT NULL,
  byte_offset INTEGER NOT NULL,
  previous INTEGER NOT NULL
) STRICT`;

/** The first frame follows a number of this file alone, so that files of another one do not fit. */
const journalStart =
  'INSERT INTO journal_position (one, sequence, segment, byte_offset, previous) VALUES (1, 1, 0, 0, abs(random()) % 4294967296)';

/**
 * A sum is its dollars and its nano-dollars: whatever vendors claim, it does not run out of numbers. Rows
 * of before, and nodes of an older version, have all of it in the nano-dollars.
 */
const wholeDollars = ['debits', 'credits'].map(
  (side) =>
    `ALTER TABLE accounts ADD COLUMN ${side}_usd INTEGER NOT NULL DEFAULT 0 CHECK (${side}_usd >= 0)`,
);

/** A table of their own: the row of `nodes` is locked by every batch of its node, and waited for by who replaces it. */
const nodeSigns = `CREATE TABLE node_signs (
  node_id TEXT PRIMARY KEY,
  epoch INTEGER NOT NULL,
  signs INTEGER NOT NULL
) STRICT, WITHOUT ROWID`;

export const migrations: readonly Migration[] = [
  {
    number: 1,
    name: 'ledger',
    statements: [
      nodes,
      wallets,
      lots,
      lotsByWallet,
      accounts,
      holds,
      budgets,
      idempotency,
      idempotencyByExpiry,
      transfers,
      chains,
      receipts,
      receiptsByWallet,
    ],
  },
  {
    number: 2,
    name: 'records',
    statements: [
      keys,
      keysByWallet,
      documents,
      documentsByParent,
      documentsById,
      requests,
      requestsByTime,
      requestsByWallet,
      blobs,
      blobsByExpiry,
      blobBytes,
      audit,
      auditByTime,
    ],
  },
  { number: 3, name: 'journal', only: 'sqlite', statements: [journalPosition, journalStart] },
  {
    number: 4,
    name: 'transfers of requests follow from their receipts',
    statements: ["DELETE FROM transfers WHERE kind IN ('post', 'cost', 'loss')"],
  },
  {
    number: 5,
    name: 'room for stored answers',
    statements: [blobOwners, blobsByOwner, countBlobOwners],
  },
  { number: 6, name: 'signs of life', statements: [nodeSigns] },
  { number: 7, name: 'accounts without an end', statements: wholeDollars },
];
