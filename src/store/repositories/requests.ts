import { nanoUsd } from '#std';
import type { RequestQuery, RequestRecord, RequestRepository, RequestTotals } from '../contract.ts';
import type { Engine, Lane, Row, Value, WriteStatement } from '../engine.ts';
import { change, integerOf, integerOrNull, query, textOf, textOrNull, write } from '../engine.ts';
import { objectOf, pageLimit } from './json.ts';

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

export function createRequestRepository(engine: Engine): RequestRepository {
  return {
    append: async (record) => {
      await engine.submit(appendLane, record);
    },
    get: (requestId) =>
      engine.read(function* () {
        const [row] = yield* query(
          `SELECT ${columns.join(', ')} FROM requests WHERE request_id = ?`,
          [requestId],
        );
        return row ? fromRow(row) : undefined;
      }),
    list: (request) =>
      engine.read(function* () {
        const limit = pageLimit(request.limit, 50);
        const { where, parameters } = filter(request);
        const rows = yield* query(
          `SELECT ${columns.join(', ')} FROM requests${where} ORDER BY created_at_ms DESC, request_id DESC LIMIT ${limit + 1}`,
          parameters,
        );
        const records = rows.slice(0, limit).map(fromRow);
        const last = records.at(-1);
        return {
          records,
          next: rows.length > limit && last ? `${last.createdAtMs} ${last.requestId}` : undefined,
        };
      }),
    totals: (request) => engine.read(() => readTotals(request)),
    prune: (beforeMs, limit) => engine.submit(pruneLane, { beforeMs, limit }),
  };
}

function filter(request: RequestQuery): {
  readonly where: string;
  readonly parameters: readonly Value[];
} {
  const conditions: string[] = [];
  const parameters: Value[] = [];
  const add = (sql: string, ...values: readonly Value[]): void => {
    conditions.push(sql);
    parameters.push(...values);
  };
  if (request.walletId !== undefined) add('wallet_id = ?', request.walletId);
  if (request.keyId !== undefined) add('key_id = ?', request.keyId);
  if (request.projectId !== undefined) add('project_id = ?', request.projectId);
  if (request.model !== undefined) add('model = ?', request.model);
  if (request.channelId !== undefined) add('channel_id = ?', request.channelId);
  if (request.errorsOnly === true) add('error_code IS NOT NULL');
  if (request.fromMs !== undefined) add('created_at_ms >= ?', request.fromMs);
  if (request.untilMs !== undefined) add('created_at_ms < ?', request.untilMs);
  if (request.before !== undefined) {
    const [atMs = '', ...rest] = request.before.split(' ');
    add(
      '(created_at_ms < ? OR (created_at_ms = ? AND request_id < ?))',
      Number(atMs),
      Number(atMs),
      rest.join(' '),
    );
  }
  return { where: conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`, parameters };
}

const bucketsMax = 10_000;

function* readTotals(request: Parameters<RequestRepository['totals']>[0]) {
  const bucketMs = Math.max(1000, Math.trunc(request.bucketMs));
  const { where, parameters } = filter(request);
  const rows = yield* query(
    `SELECT created_at_ms - created_at_ms % ${bucketMs} AS at_ms, model, count(*) AS requests,
       sum(CASE WHEN error_code IS NULL THEN 0 ELSE 1 END) AS errors, CAST(sum(charge_nano_usd) AS BIGINT) AS charge_nano_usd,
       CAST(sum(input_tokens) AS BIGINT) AS input_tokens, CAST(sum(output_tokens) AS BIGINT) AS output_tokens
     FROM requests${where} GROUP BY 1, 2 ORDER BY 1, 2 LIMIT ${bucketsMax}`,
    parameters,
  );
  return rows.map((row): RequestTotals => ({
    atMs: integerOf(row, 'at_ms'),
    model: textOf(row, 'model'),
    requests: integerOf(row, 'requests'),
    errors: integerOf(row, 'errors'),
    chargeNanoUsd: nanoUsd(integerOf(row, 'charge_nano_usd')),
    inputTokens: integerOf(row, 'input_tokens'),
    outputTokens: integerOf(row, 'output_tokens'),
  }));
}

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
    record.inputTokens,
    record.outputTokens,
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
