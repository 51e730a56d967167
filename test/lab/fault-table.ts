/**
 * What one upstream can do wrong, alone and in pairs on two channels, in every client dialect: what
 * the client gets, how many attempts were made, and what it was charged. Every cell has a model of
 * its own, so that all cells run at once on one gateway and none sees the health of another.
 */

import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { routingChannels } from '#gateway';
import { receiptIdOf } from '#ledger';
import { channelSchema, type ChannelDefinition } from '#providers';
import { createRouter } from '#routing';
import type { Fault, Rule } from '#simulator';
import { systemClock, systemRandom } from '#std';
import { startRig, type Rig } from '../scenarios/rig.ts';
import { repeat } from './failover-runs.ts';

type Place = 'refused' | 'tls' | 'dns';
type Kind = {
  readonly streamed: Fault | Place;
  readonly whole: Fault | Place;
  readonly waits?: boolean;
};

const both = (fault: Fault | Place, waits = false): Kind => ({
  streamed: fault,
  whole: fault,
  waits,
});
const foreverMs = 600_000;
const sse = 'text/event-stream';

/** The faults, by the words of the table. `waits`: only a time-out ends it. */
export const faults: Readonly<Record<string, Kind>> = {
  'connect refused': both('refused'),
  'TLS failure': both('tls'),
  'DNS failure': both('dns'),
  'headers never': both({ silent: true }, true),
  'body never': both({ first_byte_delay_ms: foreverMs }, true),
  'slow drip': both({ drip_ms: 400, drip_bytes: 1 }, true),
  '429 with retry-after': both({ status: 429, headers: { 'retry-after': '2' } }),
  '429 without': both({ status: 429 }),
  'status 500': both({ status: 500 }),
  '503 with HTML': both({ status: 503, body: '<html>no</html>', content_type: 'text/html' }),
  '200 with error body': both({
    body: '{"error":{"message":"it broke","type":"server_error"}}',
    content_type: 'application/json',
  }),
  '200 with empty body': both({ body: '' }),
  'invalid JSON': both({ body: '{"choices": [', content_type: 'application/json' }),
  'cut before content': {
    streamed: { body: 'data: {"id":"x"', content_type: sse, cut_at_byte: 8 },
    whole: { cut_at_byte: 0 },
  },
  'cut after content': { streamed: { cut_at_byte: 3_000 }, whole: { cut_at_byte: 60 } },
  'error event in stream': { streamed: { error_after_events: 12 }, whole: { status: 529 } },
  'wrong content type': both({ body: '<html>hello</html>', content_type: 'text/html' }),
};

export const faultNames = Object.keys(faults);

const words = `Hello ${'and again '.repeat(60)}`;
const messages = [{ role: 'user', content: words }];

type ClientDialect = {
  readonly name: string;
  readonly path: (model: string, stream: boolean) => string;
  readonly body: (model: string, stream: boolean) => unknown;
  /** An error as this dialect writes it: whole, or as the last event of a stream. */
  readonly isError: (body: Readonly<Record<string, unknown>>) => boolean;
};

/** Whole answers are short so that their time-out is. */
const tokens = (stream: boolean): number => (stream ? 600 : 8);
const hasErrorMessage = (body: Readonly<Record<string, unknown>>): boolean => {
  const error = body['error'] as { readonly message?: unknown } | undefined;
  return typeof error?.message === 'string' && error.message.length > 5;
};

export const clientDialects: readonly ClientDialect[] = [
  {
    name: 'chat',
    path: () => '/v1/chat/completions',
    body: (model, stream) => ({ model, stream, max_tokens: tokens(stream), messages }),
    isError: hasErrorMessage,
  },
  {
    name: 'responses',
    path: () => '/v1/responses',
    body: (model, stream) => ({
      model,
      stream,
      max_output_tokens: stream ? 600 : 16,
      input: words,
      store: false,
    }),
    isError: (body) =>
      hasErrorMessage(body) ||
      (body['type'] === 'error' && typeof body['message'] === 'string') ||
      (body['type'] === 'response.failed' &&
        hasErrorMessage(body['response'] as Record<string, unknown>)),
  },
  {
    name: 'messages',
    path: () => '/v1/messages',
    body: (model, stream) => ({ model, stream, max_tokens: tokens(stream), messages }),
    isError: (body) => body['type'] === 'error' && hasErrorMessage(body),
  },
  {
    name: 'gemini',
    path: (model, stream) =>
      `/v1beta/models/${model}:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
    body: (_, stream) => ({
      contents: [{ role: 'user', parts: [{ text: words }] }],
      generationConfig: { maxOutputTokens: tokens(stream) },
    }),
    isError: hasErrorMessage,
  },
];

export type Cell = {
  readonly faults: readonly string[];
  readonly dialect: string;
  readonly stream: boolean;
  /** Status; `partial` for a stream that ended in an error after content; a stream of nothing but the error when its head had to leave before. */
  readonly result: string;
  readonly code: string;
  readonly attempts: number;
  readonly chargeNanoUsd: number;
  /** By the gateway's own clock. */
  readonly elapsedMs: number;
  /** What must not be; empty when all is well. */
  readonly problems: readonly string[];
};

export type CellPlan = Pick<Cell, 'faults' | 'dialect' | 'stream'>;

/** Every fault (and pair of faults, in this order of channels) in every dialect, streamed and whole. */
export function cellsOf(combinations: readonly (readonly string[])[]): readonly CellPlan[] {
  return combinations.flatMap((names) =>
    clientDialects.flatMap(({ name }) =>
      [true, false].map((stream) => ({ faults: names, dialect: name, stream })),
    ),
  );
}

const requestMs = 25_000;
const hangMs = 30_000;

/** Runs the cells and looks at the books afterwards. `isOpen`: holds that were left behind. */
export async function runCells(
  plans: readonly CellPlan[],
  concurrency: number,
): Promise<{ readonly cells: readonly Cell[]; readonly pendingNanoUsd: number }> {
  const garbage = await listenGarbage();
  const { rules, channels } = upstreamsOf(plans, (garbage.address() as AddressInfo).port);
  const rig = await startRig({
    config: { request_ms: requestMs },
    balanceUsd: 1_000,
    vendors: [0, 1].map((side) => ({
      id: `side${side}`,
      rules: rules[side] ?? [],
      channel: { models: modelsOf(plans, side, 'simulator') },
    })),
    channels,
    services: (services) => {
      const settings = { retryBudgetBurst: 1_000_000, breakerThreshold: 2, newLaneShare: 1 };
      const router = createRouter({ clock: systemClock, random: systemRandom, settings });
      router.update(routingChannels(services.snapshot().channels.values()));
      return { ...services, router };
    },
  });
  try {
    const cells: Cell[] = [];
    await repeat({ requests: plans.length, concurrency }, async (index) => {
      const plan = plans[index];
      if (plan) cells[index] = await runCell(rig, plan, modelName(index));
    });
    const { pendingNanoUsd } = await rig.books.ledger.balance(rig.walletId);
    return { cells, pendingNanoUsd };
  } finally {
    await rig.close();
    garbage.close();
  }
}

const modelName = (index: number): string => `fault-${index}`;

/** Answers every handshake with something that is no TLS. */
function listenGarbage(): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end('this is no TLS\r\n\r\n'));
  });
  return new Promise((listening) => server.listen(0, '127.0.0.1', () => listening(server)));
}

function faultOf(plan: CellPlan, side: number): Fault | Place | undefined {
  const kind = faults[plan.faults[side] ?? ''];
  return plan.stream ? kind?.streamed : kind?.whole;
}

function modelsOf(
  plans: readonly CellPlan[],
  side: number,
  place: Place | 'simulator',
): Record<string, unknown> {
  const models: Record<string, unknown> = { unused: { prices: 'free' } };
  for (const [index, plan] of plans.entries()) {
    const fault = faultOf(plan, side);
    const at = typeof fault === 'string' ? fault : 'simulator';
    if (fault !== undefined && at === place)
      models[modelName(index)] = { prices: { input: '1', output: '2' } };
  }
  return models;
}

function upstreamsOf(
  plans: readonly CellPlan[],
  garbagePort: number,
): {
  readonly rules: readonly (readonly Rule[])[];
  readonly channels: readonly ChannelDefinition[];
} {
  const urls: Readonly<Record<Place, string>> = {
    refused: 'http://127.0.0.1:1',
    tls: `https://127.0.0.1:${garbagePort}`,
    dns: 'http://nowhere.invalid',
  };
  const channels: ChannelDefinition[] = [];
  const rules = [0, 1].map((side) => {
    for (const place of ['refused', 'tls', 'dns'] as const) {
      channels.push(
        channelSchema.parse({
          id: `side${side}-${place}`,
          provider: 'simulator',
          base_url: urls[place],
          secret: 'secret',
          allow_private: true,
          models: modelsOf(plans, side, place),
        }),
      );
    }
    return plans.flatMap((plan, index): Rule[] => {
      const fault = faultOf(plan, side);
      return fault === undefined || typeof fault === 'string'
        ? []
        : [{ model: modelName(index), fault }];
    });
  });
  return { rules, channels };
}

async function runCell(rig: Rig, plan: CellPlan, model: string): Promise<Cell> {
  const dialect = clientDialects.find(({ name }) => name === plan.dialect);
  if (!dialect) throw new RangeError(plan.dialect);
  const signal = AbortSignal.timeout(hangMs);
  const response = await rig.post(
    dialect.path(model, plan.stream),
    dialect.body(model, plan.stream),
    {},
    signal,
  );
  const text = await response.text();
  const requestId = response.headers.get('x-request-id') ?? '';
  const record = await recordOf(rig, requestId);
  const { elapsedMs } = record;
  const receipt = await rig.books.ledger.receipt(receiptIdOf(requestId));
  const chargeNanoUsd = receipt?.chargeNanoUsd ?? 0;
  const { result, problem } = judgeAnswer(dialect, response, text, plan.stream);
  const problems = [
    ...(problem === undefined ? [] : [problem]),
    ...(result !== 'partial' && chargeNanoUsd > 0 ? [`charged ${chargeNanoUsd} for nothing`] : []),
    ...(result === 'partial' && chargeNanoUsd === 0 ? ['a delivered part was not charged'] : []),
    ...(elapsedMs > requestMs + 2_000 ? [`took ${Math.round(elapsedMs)} ms`] : []),
    ...(/<html>|it broke/.test(text) && response.status !== 502
      ? ['shows what the upstream said']
      : []),
  ];
  return {
    ...plan,
    result,
    code: record.code,
    attempts: record.attempts,
    chargeNanoUsd,
    elapsedMs,
    problems,
  };
}

/** A refusal with a well-formed error, or a stream whose last event is one. */
function judgeAnswer(
  dialect: ClientDialect,
  response: Response,
  text: string,
  stream: boolean,
): { readonly result: string; readonly problem?: string } {
  const isStream = (response.headers.get('content-type') ?? '').startsWith(sse);
  const payloads = isStream
    ? Array.from(text.matchAll(/^data: ?(\{.*\})$/gm), ([, data]) => data ?? '')
    : [text];
  const last = parsed(payloads.at(-1) ?? '');
  const result =
    response.status === 200
      ? isStream
        ? text.includes('This')
          ? 'partial'
          : 'stream of an error'
        : '200'
      : String(response.status);
  if (response.status === 200 && !isStream)
    return { result, problem: `answered 200: ${text.slice(0, 80)}` };
  if (isStream && !stream) return { result, problem: 'a stream that nobody asked for' };
  if (!last || !dialect.isError(last))
    return { result, problem: `no error in the form of ${dialect.name}: ${text.slice(-120)}` };
  return { result };
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
}

async function recordOf(
  rig: Rig,
  requestId: string,
): Promise<{ readonly attempts: number; readonly code: string; readonly elapsedMs: number }> {
  for (let turn = 0; turn < 200; turn += 1) {
    const record = await rig.books.store.requests.get(requestId);
    const attempts = record?.detail['attempts'];
    if (record)
      return {
        attempts: Array.isArray(attempts) ? attempts.length : 0,
        code: record.errorCode ?? '',
        elapsedMs: record.durationMs,
      };
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return { attempts: 0, code: 'no record', elapsedMs: Infinity };
}
