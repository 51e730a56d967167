/** `manifold route explain REQUEST_ID`: why a request went where it went, from its record. */

import {
  asArray,
  asNumber,
  asObject,
  asObjects,
  asString,
  formatUsd,
  type JsonObject,
  type JsonValue,
} from '#std';
import { requiredWord, table, withBooks, type CommandContext } from './command.ts';
import { ConfigError } from './config.ts';

export async function routeCommand(context: CommandContext): Promise<number> {
  const action = requiredWord(context, 0, 'explain');
  if (action !== 'explain') {
    throw new ConfigError(`\`route ${action}\` is not a command. There is explain.`);
  }
  const requestId = requiredWord(context, 1, 'the id of the request, from its x-request-id header');
  return withBooks(context, async ({ store }) => {
    const record = await store.requests.get(requestId);
    if (!record) {
      context.output.error(`There is no record of ${requestId}.`);
      return 1;
    }
    if (context.values['json'] === true) {
      context.output.line(JSON.stringify(record.detail, null, 2));
      return 0;
    }
    const { model, dialect, status, errorCode, durationMs, firstContentMs } = record;
    const first =
      firstContentMs === null ? 'no content' : `first content after ${firstContentMs} ms`;
    context.output.line(
      `${requestId} · ${new Date(record.createdAtMs).toISOString()} · ${model} by ${dialect} · status ${status}` +
        `${errorCode === null ? '' : ` ${errorCode}`} · ${first} · ${durationMs} ms · ${formatUsd(record.chargeNanoUsd)} USD`,
    );
    for (const line of explainLines(record.detail)) context.output.line(line);
    return 0;
  });
}

/** The readable form of what a record holds under `routing` and `attempts`. */
export function explainLines(detail: JsonObject): readonly string[] {
  const routing = asObject(detail['routing']);
  const lines: string[] = [];
  if (routing) {
    lines.push('', `Admission: ${text(routing['admission'])} · class ${text(routing['class'])}`);
    const decisions = asObjects(routing['decisions']);
    const startMs = asNumber(decisions[0]?.['at_ms']) ?? 0;
    for (const decision of decisions) lines.push('', ...decisionLines(decision, startMs));
    const leftOut = asNumber(routing['decisions_left_out']);
    if (leftOut !== undefined) lines.push(`(${leftOut} further decisions were not kept)`);
  } else
    lines.push('', 'The record holds no routing: the request was answered before it was planned.');
  lines.push('', ...attemptLines(asObjects(detail['attempts'])));
  const losses = asObjects(detail['losses']);
  for (const loss of losses)
    lines.push(`Lost in translation: ${text(loss['path'])}: ${text(loss['reason'])}`);
  return lines;
}

function decisionLines(decision: JsonObject, startMs: number): readonly string[] {
  const atMs = (asNumber(decision['at_ms']) ?? startMs) - startMs;
  const panic = decision['panic'] === true ? ', breakers ignored' : '';
  const rows = asObjects(decision['candidates']).map((candidate) => [
    candidate['rejected'] === null ? '→' : ' ',
    text(candidate['channel']),
    text(candidate['model']),
    asNumber(candidate['score'])?.toFixed(3) ?? '-',
    candidate['rejected'] === null ? 'chosen' : text(candidate['rejected']),
  ]);
  const others = Object.entries(asObject(decision['others']) ?? {});
  return [
    `Decision after ${atMs} ms, by ${text(decision['how'])}${panic}:`,
    table([[' ', 'CHANNEL', 'MODEL', 'SCORE', 'WHY'], ...rows]),
    ...others.map(([reason, count]) => `  and ${text(count)} more: ${reason}`),
  ];
}

function attemptLines(attempts: readonly JsonObject[]): readonly string[] {
  if (attempts.length === 0) return ['No attempt was made.'];
  const ms = (value: JsonValue | undefined): string => {
    const number = asNumber(value);
    return number === undefined ? '-' : `${number} ms`;
  };
  const rows = attempts.map((attempt, index) => [
    String(index + 1),
    text(attempt['channel']),
    text(attempt['model']),
    ms(attempt['started_ms']),
    ms(attempt['first_content_ms']),
    ms(attempt['ended_ms']),
    text(attempt['status']),
    text(attempt['outcome']),
    text(attempt['error']),
  ]);
  const head = [
    '#',
    'CHANNEL',
    'MODEL',
    'STARTED',
    'CONTENT',
    'ENDED',
    'STATUS',
    'OUTCOME',
    'ERROR',
  ];
  return ['Attempts, in milliseconds since the request:', table([head, ...rows])];
}

function text(value: JsonValue | undefined): string {
  if (value === null || value === undefined) return '-';
  return asString(value) ?? (asArray(value) ? 'list' : String(asNumber(value) ?? value));
}
