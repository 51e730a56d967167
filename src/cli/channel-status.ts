/** `manifold channel status`: how a running server sees its channels. */

import { asArray, asNumber, asObject, asObjects, asString, type JsonObject } from '#std';
import { noSuchChannel, table, type CommandContext } from './command.ts';
import { askServer } from './running-server.ts';

export async function channelStatus(
  context: CommandContext,
  id: string | undefined,
): Promise<number> {
  const status = asObject(await askServer(context, '/admin/routing')) ?? {};
  const channels = (asArray(status['channels']) ?? []).flatMap((name) => asString(name) ?? []);
  if (id !== undefined && !channels.includes(id)) {
    context.output.error(noSuchChannel(id, channels));
    return 1;
  }
  const lanes = asObjects(status['lanes']).filter(
    (lane) => id === undefined || lane['channel'] === id,
  );
  if (context.values['json'] === true) {
    context.output.line(JSON.stringify({ ...status, lanes }, null, 2));
    return 0;
  }
  if (lanes.length === 0) {
    const who = id === undefined ? 'No channel has' : `Channel ${id} has not`;
    context.output.line(`${who} been asked yet: a channel is listed with its first request.`);
  } else context.output.line(table([head, ...lanes.map((lane) => row(lane, Date.now()))]));
  const count = (name: string): string => String(Math.round(asNumber(status[name]) ?? 0));
  context.output.line(
    `${count('waiting')} requests wait for room · ${count('sessions')} sessions kept · ${count('users')} users · ${count('retry_budget')} retries may be made`,
  );
  return 0;
}

const head = [
  'CHANNEL',
  'MODEL',
  'STATE',
  'FIRST CONTENT',
  'PER TOKEN',
  'ERRORS',
  'ACTIVE',
  'SAMPLES',
  'LIMITS',
];

function row(lane: JsonObject, nowMs: number): readonly string[] {
  const number = (name: string): number => asNumber(lane[name]) ?? 0;
  const perToken = asNumber(lane['inter_token_ms']);
  return [
    asString(lane['channel']) ?? '',
    asString(lane['model']) ?? '',
    stateOf(lane, nowMs),
    `${Math.round(number('first_content_ms'))} ± ${Math.round(number('deviation_ms'))} ms`,
    perToken === undefined ? '-' : `${perToken.toFixed(1)} ms`,
    `${Math.round(number('error_level') * 100)} %`,
    `${number('active')}/${asNumber(lane['concurrency_limit']) ?? '∞'}`,
    String(number('samples')),
    asObjects(lane['buckets']).map(bucketText).join(', ') || '-',
  ];
}

/** With the breaker's remaining time, or the reason why a human is needed. */
function stateOf(lane: JsonObject, nowMs: number): string {
  const state = asString(lane['state']) ?? '';
  const reason = asString(lane['off_reason']);
  const untilMs = asNumber(lane['open_until_ms']);
  if (reason !== undefined) return `${state} (${reason})`;
  if (state !== 'open' || untilMs === undefined) return state;
  return `${state} ${Math.max(0, Math.ceil((untilMs - nowMs) / 1_000))} s`;
}

const shortNames: Readonly<Record<string, string>> = {
  'requests-per-minute': 'req/min',
  'requests-per-day': 'req/day',
  'tokens-per-minute': 'tok/min',
  'input-tokens-per-minute': 'in/min',
  'output-tokens-per-minute': 'out/min',
};

function bucketText(bucket: JsonObject): string {
  const limit = asString(bucket['limit']) ?? '';
  const level = Math.round(asNumber(bucket['level']) ?? 0);
  const capacity = Math.round(asNumber(bucket['capacity']) ?? 0);
  return `${shortNames[limit] ?? limit} ${level}/${capacity} ${asString(bucket['source']) ?? ''}`.trimEnd();
}
