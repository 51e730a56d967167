/**
 * T-B7: a client that leaves at every point of a request, streamed or whole, where leaving stops the
 * vendor's meter and where it does not. Each cell knows from the policy what the charge must be.
 */

import { openaiChat } from '#dialects';
import type { Receipt } from '#ledger';
import { estimateGeneratedTokens, estimateInputTokens, rate } from '#metering';
import type { Fault } from '#simulator';
import { nanoUsd, textSize, type NanoUsd } from '#std';
import { clientDialects, streamedText, type ClientDialect } from './money-dialects.ts';
import { startRig, type Rig } from './rig.ts';

export const points = [
  'before send',
  'before first byte',
  'while it fails',
  'middle',
  'last chunk',
  'after usage',
] as const;
export type Point = (typeof points)[number];

export type Cell = {
  readonly point: Point;
  readonly stream: boolean;
  readonly stops: boolean;
  readonly client: ClientDialect;
};

export type CellReport = {
  readonly name: string;
  readonly requests: number;
  /** Receipts whose charge is not the policy's, with what was expected. */
  readonly wrong: readonly string[];
  readonly expectedNanoUsd: number;
  readonly heldNanoUsd: number;
  /** Upstream calls begun after the client had left, in ms after it. */
  readonly lateCallsMs: readonly number[];
  /** From the client's leaving to the vendor's connection being closed; where leaving stops the meter. */
  readonly stopDelaysMs: readonly number[];
  readonly callsMissing: number;
};

const question = 'Tell it in 12 words';
const outputTokensMax = 300;
const units = { input: '1.5', output: '7' };

export function allCells(): readonly Cell[] {
  const clients = clientDialects.filter(
    (client) => client.id === 'openai-chat' || client.id === 'anthropic-messages',
  );
  return clients.flatMap((client) =>
    points.flatMap((point) =>
      [true, false].flatMap((stream) =>
        [true, false].map((stops) => ({ point, stream, stops, client })),
      ),
    ),
  );
}

/** Events of the vendor's stream: chat chunks, in which the text is between a first and the last three. */
async function vendorEvents(rig: Rig): Promise<readonly string[]> {
  const body = {
    model: 'sim-chat',
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: outputTokensMax,
    messages: [{ role: 'user', content: question }],
  };
  const response = await fetch(`${rig.vendors['one']?.url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify(body),
  });
  const events = (await response.text()).split(/(?<=\n\n)/);
  rig.vendors['one']?.bill.clear();
  rig.vendors['one']?.seen.splice(0);
  return events;
}

type Scene = { readonly fault: Fault; readonly textBefore: string; readonly usageTold: boolean };

/** What the vendor does so that the client can leave at exactly this point. */
function sceneOf({ point, stream, stops }: Cell, events: readonly string[]): Scene {
  const pauseMs = stops ? 2_000 : 40;
  const lastContent = events.findLastIndex((event) => /"content":"[^"]/.test(event));
  const pausedAfter = (count: number): Scene => ({
    fault: { pause_after_events: count, pause_ms: pauseMs },
    textBefore: streamedText(events.slice(0, count).join('')),
    usageTold: events.slice(0, count).some((event) => event.includes('"usage":{')),
  });
  const delayed: Scene = {
    fault: { delay_ms: stream && stops ? 2_000 : 60 },
    textBefore: '',
    usageTold: false,
  };
  if (point === 'while it fails') return { ...delayed, fault: { delay_ms: 150, status: 500 } };
  if (point === 'before send' || point === 'before first byte' || !stream) return delayed;
  if (point === 'middle') return pausedAfter(Math.floor(lastContent / 2));
  if (point === 'last chunk') return pausedAfter(lastContent + 1);
  return pausedAfter(events.length - 1);
}

/** The charge that the policy wants: nothing before content, what was generated where it stopped, all of it elsewhere. */
function expectedCharge(
  cell: Cell,
  scene: Scene,
  events: readonly string[],
  heardSize: number,
): NanoUsd {
  const { point, stream, stops } = cell;
  if (point === 'before send' || point === 'while it fails') return nanoUsd(0);
  if (stream && stops && point === 'before first byte') return nanoUsd(0);
  const price = {
    version: '',
    price: { from: '2000-01-01', source: 'test', units },
    atMs: 0,
    factorMillionths: 1_000_000,
  };
  const told = events
    .map((event) => /"usage":\{"prompt_tokens":(\d+),"completion_tokens":(\d+)/.exec(event))
    .find((match) => match);
  const full = { inputTokens: Number(told?.[1]), outputTokens: Number(told?.[2]) };
  if (!stream || !stops || scene.usageTold) return rate(price, full).amountNanoUsd;
  const asked = openaiChat.request.decode(
    clientDialects[0]?.body('cut', question, stream, outputTokensMax) ?? {},
    {},
  );
  return rate(price, {
    inputTokens: estimateInputTokens(asked),
    outputTokens: estimateGeneratedTokens(heardSize),
  }).amountNanoUsd;
}

export async function runCell(cell: Cell, requests: number): Promise<CellReport> {
  const offer = {
    name: 'sim-chat',
    dialects: ['openai-chat'],
    prices: units,
    output_tokens: 4_096,
  };
  const channel = { abort_stops_billing: cell.stops ? 'yes' : 'no', models: { cut: offer } };
  const simulator = { worksOnAfterAbort: !cell.stops };
  // The second channel is there to be called by mistake.
  const rig = await startRig({
    vendors: [
      { id: 'one', channel, simulator },
      { id: 'two', channel, simulator },
    ],
  });
  try {
    const events = await vendorEvents(rig);
    const scene = sceneOf(cell, events);
    for (const vendor of Object.values(rig.vendors))
      vendor.script.replace([{ fault: scene.fault }]);
    const resolved = countResolved(rig);
    const gate = cell.point === 'before send' ? gateReserve(rig) : undefined;
    const delays: Delays = { lateCallsMs: [], stopDelaysMs: [] };
    let heardSize = 0;
    for (let index = 0; index < requests; index += 1) {
      rig.runtime.reload([]);
      heardSize = await oneLeaves(rig, cell, scene, gate, delays);
      await until(() => resolved.count === index + 1);
    }
    return await report(
      rig,
      cell,
      requests,
      expectedCharge(cell, scene, events, heardSize),
      delays,
    );
  } finally {
    await rig.close();
  }
}

type Delays = { readonly lateCallsMs: number[]; readonly stopDelaysMs: number[] };
type Gate = { readonly reached: () => Promise<void>; readonly open: () => void };

/** How many holds have ended, one way or the other. */
function countResolved(rig: Rig): { readonly count: number } {
  const { ledger } = rig.books;
  const settle = ledger.settle.bind(ledger);
  const release = ledger.void.bind(ledger);
  const resolved = { count: 0 };
  const counted = <T>(work: Promise<T>): Promise<T> => work.finally(() => (resolved.count += 1));
  Object.assign(ledger, {
    settle: (settlement: Parameters<typeof settle>[0]) => counted(settle(settlement)),
    void: (request: Parameters<typeof release>[0]) => counted(release(request)),
  });
  return resolved;
}

/** Lets a reservation be held up, so that the client can leave while the ledger is at work. */
function gateReserve(rig: Rig): Gate {
  const { ledger } = rig.books;
  const reserve = ledger.reserve.bind(ledger);
  let arrived = Promise.withResolvers<void>();
  let opened = Promise.withResolvers<void>();
  Object.assign(ledger, {
    reserve: async (request: Parameters<typeof reserve>[0]) => {
      arrived.resolve();
      await opened.promise;
      return reserve(request);
    },
  });
  return {
    reached: () => arrived.promise,
    open: () => {
      opened.resolve();
      arrived = Promise.withResolvers();
      opened = Promise.withResolvers();
    },
  };
}

async function oneLeaves(
  rig: Rig,
  cell: Cell,
  scene: Scene,
  gate: Gate | undefined,
  delays: Delays,
): Promise<number> {
  const leave = new AbortController();
  const before = calls(rig).length;
  const { client, stream } = cell;
  const heard = { text: '' };
  const ended = listen(
    rig.post(
      client.path('cut', stream),
      client.body('cut', question, stream, outputTokensMax),
      {},
      leave.signal,
    ),
    heard,
  ).catch(() => undefined);
  if (gate) await gate.reached();
  else if (scene.textBefore === '') await until(() => calls(rig).length > before);
  else await until(() => textSize(streamedText(heard.text)) >= scene.textBefore.length);
  // The vendor pauses here; what the gateway keeps for the end, the client cannot see come.
  if (scene.textBefore !== '') await new Promise((turn) => setTimeout(turn, 15));
  const leftAtMs = Date.now();
  leave.abort();
  await ended;
  // The news has to travel: a call that is sent before it arrives is no fault.
  for (let trip = 0; gate && trip < 3; trip += 1) await (await fetch(`${rig.url}/healthz`)).text();
  if (gate) await new Promise((turn) => setTimeout(turn, 10));
  gate?.open();
  // Later calls, if there were any, would come now.
  if (cell.point === 'while it fails') await new Promise((turn) => setTimeout(turn, 80));
  const made = calls(rig).slice(before);
  for (const call of made) if (call.atMs > leftAtMs) delays.lateCallsMs.push(call.atMs - leftAtMs);
  const heardSize = textSize(streamedText(heard.text));
  if (!stream || !cell.stops || cell.point === 'while it fails') return heardSize;
  await until(() => made.every((call) => call.closedAtMs !== undefined));
  for (const call of made) delays.stopDelaysMs.push((call.closedAtMs ?? Infinity) - leftAtMs);
  return heardSize;
}

const calls = (rig: Rig) =>
  Object.values(rig.vendors)
    .flatMap((vendor) => vendor.seen)
    .toSorted((left, right) => left.atMs - right.atMs);

async function receiptsOf(rig: Rig): Promise<readonly Receipt[]> {
  const { receipts } = await rig.books.ledger.statement({ walletId: rig.walletId, limit: 500 });
  return receipts.filter((receipt) => receipt.requestId !== undefined);
}

async function report(
  rig: Rig,
  cell: Cell,
  requests: number,
  expectedNanoUsd: NanoUsd,
  delays: Delays,
): Promise<CellReport> {
  const receipts = await receiptsOf(rig);
  const wrong = receipts
    .filter((receipt) => receipt.chargeNanoUsd !== expectedNanoUsd)
    .map(
      (receipt) =>
        `${receipt.kind} ${receipt.chargeNanoUsd} ${receipt.usageSource} ${JSON.stringify(receipt.usage)}`,
    );
  const { pendingNanoUsd } = await rig.books.ledger.balance(rig.walletId);
  const callsExpected = cell.point === 'before send' ? 0 : requests;
  return {
    name: `${cell.client.id} ${cell.stream ? 'stream' : 'whole'}, ${cell.stops ? 'leaving stops the meter' : 'leaving does not'}, ${cell.point}`,
    requests: receipts.length,
    wrong,
    expectedNanoUsd,
    heldNanoUsd: pendingNanoUsd,
    callsMissing: callsExpected - calls(rig).length,
    ...delays,
  };
}

async function listen(asked: Promise<Response>, heard: { text: string }): Promise<void> {
  const reader = (await asked).body?.getReader();
  for (;;) {
    const piece = await reader?.read();
    if (!piece || piece.done) return;
    heard.text += Buffer.from(piece.value).toString('utf8');
  }
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > giveUpAt) throw new Error('it did not happen within ten seconds');
    await new Promise((turn) => setTimeout(turn, 2));
  }
}
