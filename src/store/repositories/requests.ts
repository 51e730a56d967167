import { nanoUsd } from '#std';
import type {
  RequestPage,
  RequestQuery,
  RequestRecord,
  RequestRepository,
  RequestTotals,
} from '../contract.ts';
import type { Engine, Lane, Row, Steps, Value, WriteStatement } from '../engine.ts';
import { change, integerOf, integerOrNull, query, textOf, textOrNull, write } from '../engine.ts';
import { objectOf, pageLimit } from './json.ts';
import { KeptRecords } from './kept-records.ts';

const integerColumns: ReadonlySet<string> = new Set([
  'created_at_ms',
  'duration_ms',
  'first_content_ms',
  'status',
  'charge_nano_usd',
  'input_tokens',
  'output_tokens',
  'streamed',
]);

const columns = [
  'request_id',
  'wallet_id',
  'key_id',
  'project_id',
  'created_at_ms',
  'duration_ms',
  'first_content_ms',
  'status',
  'error_code',
  'dialect',
  'operation',
  'model',
  'channel_id',
  'charge_nano_usd',
  'input_tokens',
  'output_tokens',
  'streamed',
  'detail',
] as const;

const insertRequests: WriteStatement = {
  action: 'insert',
  table: 'requests',
  columns: columns.map((name) => ({ name, type: integerColumns.has(name) ? 'integer' : 'text' })),
  conflict: { keys: ['request_id'], action: 'ignore' },
  appends: true,
};

const appendLane: Lane<RequestRecord, true> = {
  name: 'requests',
  journaled: true,
  patient: true,
  *apply(records) {
    yield* write(insertRequests, records.map(toRow));
    return records.map(() => true);
  },
};

const pruneLane: Lane<{ readonly beforeMs: number; readonly limit: number }, number> = {
  name: 'requests-prune',
  *apply(prunes) {
    const counts: number[] = [];
    for (const { beforeMs, limit } of prunes) {
      counts.push(
        yield* change(
          'DELETE FROM requests WHERE request_id IN (SELECT request_id FROM requests WHERE created_at_ms < ? ORDER BY created_at_ms LIMIT ?)',
          [beforeMs, limit],
        ),
      );
    }
    return counts;
  },
};

export function createRequestRepository(
  engine: Engine,
  againMs?: number,
): RequestRepository & { close(): Promise<void> } {
  const kept = new KeptRecords((record) => engine.submit(appendLane, record), againMs);
  return {
    append: (record) => kept.append(record),
    close: () => kept.close(),
    get: (requestId) =>
      engine.read(function* () {
        const [row] = yield* query(
          `SELECT ${columns.join(', ')} FROM requests WHERE request_id = ?`,
          [requestId],
        );
        return row ? fromRow(row) : undefined;
      }),
    list: (request) => engine.read(() => readPage(request)),
    totals: (request) => engine.read(() => readTotals(request)),
    prune: (beforeMs, limit) => engine.submit(pruneLane, { beforeMs, limit }),
  };
}

/** Rows looked at for one page: what reads them serves nobody meanwhile. */
const looksMax = 5_000;

function* readPage(request: RequestQuery): Steps<RequestPage> {
  const limit = pageLimit(request.limit, 50);
  const looks = Math.max(limit + 1, request.looksMax ?? looksMax);
  const indexed = indexedConditions(request);
  const others = otherConditions(request);
  // How far to look comes first, and is a row and no number: between the two reads others may write.
  const end = others.texts.length === 0 ? undefined : yield* lastLook(indexed, looks);
  const bounds = end ? [indexed, end.reached, others] : [indexed, others];
  const rows = yield* query(
    `SELECT ${columns.join(', ')} FROM requests${whereOf(...bounds)} ${newestFirst} LIMIT ${limit + 1}`,
    bounds.flatMap(({ parameters }) => parameters),
  );
  const records = rows.slice(0, limit).map(fromRow);
  const last = records.at(-1);
  if (rows.length > limit && last)
    return { records, next: `${last.createdAtMs} ${last.requestId}` };
  return { records, next: end?.next };
}

const newestFirst = 'ORDER BY created_at_ms DESC, request_id DESC';

/** The last row that may be looked at for this page; `undefined` when there are fewer. */
function* lastLook(indexed: Conditions, looks: number) {
  const [row] = yield* query(
    `SELECT created_at_ms, request_id FROM requests${whereOf(indexed)} ${newestFirst} LIMIT 1 OFFSET ${looks - 1}`,
    indexed.parameters,
  );
  if (!row) return undefined;
  const { add, conditions } = gathered();
  const [atMs, requestId] = [integerOf(row, 'created_at_ms'), textOf(row, 'request_id')];
  add('(created_at_ms, request_id) >= (?, ?)', atMs, requestId);
  return { reached: conditions, next: `${atMs} ${requestId}` };
}

type Conditions = { readonly texts: string[]; readonly parameters: Value[] };

/** Those that an index answers. */
function indexedConditions(request: RequestQuery): Conditions {
  const { add, conditions } = gathered();
  if (request.walletId !== undefined) add('wallet_id = ?', request.walletId);
  if (request.fromMs !== undefined) add('created_at_ms >= ?', request.fromMs);
  if (request.untilMs !== undefined) add('created_at_ms < ?', request.untilMs);
  if (request.before !== undefined) {
    const [atMs = '', ...rest] = request.before.split(' ');
    add('(created_at_ms, request_id) < (?, ?)', Number(atMs), rest.join(' '));
  }
  return conditions;
}

/** Those for which every row has to be looked at. */
function otherConditions(request: RequestQuery): Conditions {
  const { add, conditions } = gathered();
  if (request.keyId !== undefined) add('key_id = ?', request.keyId);
  if (request.projectId !== undefined) add('project_id = ?', request.projectId);
  if (request.model !== undefined) add('model = ?', request.model);
  if (request.channelId !== undefined) add('channel_id = ?', request.channelId);
  if (request.errorsOnly === true) add('error_code IS NOT NULL');
  return conditions;
}

function gathered() {
  const conditions: Conditions = { texts: [], parameters: [] };
  const add = (text: string, ...values: readonly Value[]): void => {
    conditions.texts.push(text);
    conditions.parameters.push(...values);
  };
  return { add, conditions };
}

function whereOf(...all: readonly Conditions[]): string {
  const texts = all.flatMap((conditions) => conditions.texts);
  return texts.length === 0 ? '' : ` WHERE ${texts.join(' AND ')}`;
}

const bucketsMax = 10_000;

function* readTotals(request: Parameters<RequestRepository['totals']>[0]) {
  const bucketMs = Math.max(1000, Math.trunc(request.bucketMs));
  const [indexed, others] = [indexedConditions(request), otherConditions(request)];
  const rows = yield* query(
    `SELECT created_at_ms - created_at_ms % ${bucketMs} AS at_ms, model, count(*) AS requests,
       sum(CASE WHEN error_code IS NULL THEN 0 ELSE 1 END) AS errors, CAST(sum(charge_nano_usd) AS TEXT) AS charge_nano_usd,
       CAST(sum(input_tokens) AS TEXT) AS input_tokens, CAST(sum(output_tokens) AS TEXT) AS output_tokens
     FROM requests${whereOf(indexed, others)} GROUP BY 1, 2 ORDER BY 1, 2 LIMIT ${bucketsMax}`,
    [...indexed.parameters, ...others.parameters],
  );
  return rows.map((row): RequestTotals => ({
    atMs: integerOf(row, 'at_ms'),
    model: textOf(row, 'model'),
    requests: integerOf(row, 'requests'),
    errors: integerOf(row, 'errors'),
    chargeNanoUsd: BigInt(textOf(row, 'charge_nano_usd')),
    inputTokens: BigInt(textOf(row, 'input_tokens')),
    outputTokens: BigInt(textOf(row, 'output_tokens')),
  }));
}

/** No request has more; the kinds of tokens that a broken vendor claims add up to numbers that cannot be read back. */
const tokensMax = 1e12;

function toRow(record: RequestRecord): readonly Value[] {
  return [
    record.requestId,
    record.walletId,
    record.keyId,
    record.projectId,
    record.createdAtMs,
    Math.round(record.durationMs),
    record.firstContentMs === null ? null : Math.round(record.firstContentMs),
    record.status,
    record.errorCode,
    record.dialect,
    record.operation,
    record.model,
    record.channelId,
    record.chargeNanoUsd,
    Math.min(record.inputTokens, tokensMax),
    Math.min(record.outputTokens, tokensMax),
    record.streamed ? 1 : 0,
    JSON.stringify(record.detail),
  ];
}

function fromRow(row: Row): RequestRecord {
  return {
    requestId: textOf(row, 'request_id'),
    walletId: textOf(row, 'wallet_id'),
    keyId: textOf(row, 'key_id'),
    projectId: textOrNull(row, 'project_id'),
    createdAtMs: integerOf(row, 'created_at_ms'),
    durationMs: integerOf(row, 'duration_ms'),
    firstContentMs: integerOrNull(row, 'first_content_ms'),
    status: integerOf(row, 'status'),
    errorCode: textOrNull(row, 'error_code'),
    dialect: textOf(row, 'dialect'),
    operation: textOf(row, 'operation'),
    model: textOf(row, 'model'),
    channelId: textOrNull(row, 'channel_id'),
    chargeNanoUsd: nanoUsd(integerOf(row, 'charge_nano_usd')),
    inputTokens: integerOf(row, 'input_tokens'),
    outputTokens: integerOf(row, 'output_tokens'),
    streamed: integerOf(row, 'streamed') === 1,
    detail: objectOf(row, 'detail'),
  };
}
