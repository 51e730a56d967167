/**
 * Runs about failover on a real gateway over simulated vendors, in counts: short ones are scenarios,
 * long ones are `test/lab/failover.ts`.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { Anthropic } from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import type { Rule, RunningSimulator } from '#simulator';
import { seededRandom } from '#std';
import { startRig, type Rig } from '../scenarios/rig.ts';

const question = `Please say it in 120 words: ${'again and again '.repeat(20)}`;
const chat = (stream: boolean, content = question): unknown => ({
  model: 'sim-chat',
  stream,
  max_tokens: 400,
  messages: [{ role: 'user', content }],
});

/** A limit that nobody reaches: it counts. */
const counting: Rule = { limits: { requests_per_minute: 1_000_000_000, headers: false } };

function callsOf(simulator: RunningSimulator | undefined): number {
  return simulator?.script.limited.admitted ?? 0;
}

export type RunSettings = { readonly requests: number; readonly concurrency: number };

/** Calls `work` so many times, so many at once, in the order of the index. */
export async function repeat(
  { requests, concurrency }: RunSettings,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < requests) {
      const index = next;
      next += 1;
      await work(index);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
}

export type Amplification = {
  readonly requests: number;
  readonly upstreamCalls: number;
  readonly ratio: number;
  readonly chargedNanoUsd: number;
};

/** Every channel fails: how many upstream calls does a client's request become? */
export async function retryAmplification(settings: RunSettings): Promise<Amplification> {
  const rules = [counting, { fault: { status: 500 } }];
  const rig = await startRig({ vendors: ['a', 'b', 'c', 'd'].map((id) => ({ id, rules })) });
  let upstreamCalls = 0;
  const ask = async (index: number): Promise<void> => {
    const response = await rig.post('/v1/chat/completions', chat(index % 2 === 0));
    await response.text();
  };
  try {
    // The budget's burst is for short outages; what counts is how it goes on.
    await repeat({ ...settings, requests: 150 }, ask);
    for (const { script } of Object.values(rig.vendors)) script.replace(rules);
    await repeat(settings, ask);
    for (const simulator of Object.values(rig.vendors)) upstreamCalls += callsOf(simulator);
    const { postedNanoUsd } = await rig.books.ledger.balance(rig.walletId);
    const ratio = upstreamCalls / settings.requests;
    return {
      requests: settings.requests,
      upstreamCalls,
      ratio,
      chargedNanoUsd: 10_000_000_000 - postedNanoUsd,
    };
  } finally {
    await rig.close();
  }
}

export type BlackHole = {
  readonly requests: number;
  readonly failed: number;
  readonly slowestMs: number;
  /** Requests that met the hole at all. */
  readonly hit: number;
  /** The longest time beyond the time-out of the attempts that met it. */
  readonly slowestBeyondTimeoutMs: number;
};

const firstContentTimeoutMs = 4_000;

/** One channel takes every request and never answers; the other is well. */
export async function blackHole(settings: RunSettings): Promise<BlackHole> {
  const rig = await startRig({
    vendors: [{ id: 'one' }, { id: 'two' }],
  });
  const elapsed: number[] = [];
  let failed = 0;
  try {
    // Both are known as good before one of them turns.
    await repeat({ requests: 60, concurrency: 10 }, async () => {
      await (await rig.post('/v1/chat/completions', chat(true))).text();
    });
    // The one that requests go to: whoever has a session there, or is quicker, would never ask the other.
    const [hole] = Object.values(rig.vendors).sort(
      (left, right) => right.seen.length - left.seen.length,
    );
    hole?.script.replace([counting, { fault: { silent: true } }]);
    await repeat(settings, async () => {
      const startedAtMs = performance.now();
      const response = await rig.post('/v1/chat/completions', chat(true));
      const reader = response.body?.getReader();
      await reader?.read();
      elapsed.push(performance.now() - startedAtMs);
      if (response.status !== 200) failed += 1;
      while (reader && !(await reader.read()).done);
    });
    const slowestMs = Math.max(...elapsed);
    return {
      requests: settings.requests,
      failed,
      slowestMs,
      hit: callsOf(hole),
      slowestBeyondTimeoutMs: slowestMs - firstContentTimeoutMs,
    };
  } finally {
    await rig.close();
  }
}

export type Predicted = {
  readonly requests: number;
  readonly answered: number;
  /** Refused by the gateway, which knew that no channel had room. */
  readonly refused: number;
  readonly other: number;
  readonly upstreamCalls: number;
  readonly upstream429: number;
  /** What the vendors would still have admitted at the end, as a share of all they had to give. */
  readonly unused: number;
};

/** The share of its fuller limit that a vendor has left, of a minute's worth. */
async function leftOf(simulator: RunningSimulator): Promise<number> {
  const response = await fetch(`${simulator.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: 'Bearer secret', 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'sim-chat',
      max_tokens: 1,
      messages: [{ role: 'user', content: 'Hi' }],
    }),
  });
  await response.text();
  const shares = ['requests', 'tokens'].map((what) => {
    const [left, limit] = ['remaining', 'limit'].map((part) =>
      Number(response.headers.get(`x-ratelimit-${part}-${what}`)),
    );
    return (left ?? NaN) / (limit ?? NaN);
  });
  return Math.min(...shares);
}

const askAgainMs = 50;

/** Vendors with real buckets that tell them in headers: how many 429s does the gateway run into? */
export async function predicted429(
  settings: RunSettings & {
    readonly perMinute: number;
    readonly tokensPerMinute: number;
    readonly prompt?: string;
    /** Ends when so many were answered, however fast the machine is; `requests` is then the most. */
    readonly answers?: number;
  },
): Promise<Predicted> {
  const limits = {
    requests_per_minute: settings.perMinute,
    tokens_per_minute: settings.tokensPerMinute,
  };
  const vendors = ['a', 'b'].map((id) => ({ id, rules: [{ limits }] }));
  const rig = await startRig({ vendors, balanceUsd: 1_000 });
  let answered = 0;
  let refused = 0;
  let other = 0;
  let requests = 0;
  const startedAtMs = performance.now();
  try {
    await repeat(settings, async () => {
      if (answered >= (settings.answers ?? Infinity)) return;
      requests += 1;
      const response = await rig.post('/v1/chat/completions', chat(true, settings.prompt));
      await response.text();
      if (response.status === 200) answered += 1;
      else if (response.status === 429) refused += 1;
      else other += 1;
      // Whoever is refused asks again soon: the vendors stay at their limit.
      if (response.status === 429 && settings.answers !== undefined) await sleep(askAgainMs);
    });
    let upstreamCalls = 0;
    let upstream429 = 0;
    let left = 0;
    const minutes = 1 + (performance.now() - startedAtMs) / 60_000;
    for (const { script } of Object.values(rig.vendors)) {
      upstreamCalls += script.limited.admitted + script.limited.refused;
      upstream429 += script.limited.refused;
    }
    for (const simulator of Object.values(rig.vendors)) left += await leftOf(simulator);
    const unused = left / vendors.length / minutes;
    return { requests, answered, refused, other, upstreamCalls, upstream429, unused };
  } finally {
    await rig.close();
  }
}

export type Cuts = {
  readonly dialect: string;
  readonly cuts: number;
  /** Told by the official SDK as an error. */
  readonly errors: number;
  /** Ended as if nothing had happened. */
  readonly silent: number;
  /** Text that is not a beginning of the whole text. */
  readonly wrongTexts: number;
  /** Cut after the client had received text. */
  readonly afterContent: number;
  readonly firstProblem: string | undefined;
};

export type Reader = {
  readonly dialect: string;
  read(rig: Rig, onText: (text: string) => void): Promise<void>;
};

/** The official SDKs, each as its documentation shows. */
export const readers: readonly Reader[] = [
  {
    dialect: 'chat',
    async read(rig, onText) {
      const client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: rig.key, maxRetries: 0 });
      const stream = await client.chat.completions.create({
        model: 'sim-chat',
        stream: true,
        messages: [{ role: 'user', content: question }],
      });
      for await (const chunk of stream) onText(chunk.choices[0]?.delta.content ?? '');
    },
  },
  {
    dialect: 'responses',
    async read(rig, onText) {
      const client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: rig.key, maxRetries: 0 });
      const stream = await client.responses.create({
        model: 'sim-chat',
        stream: true,
        store: false,
        input: question,
      });
      for await (const event of stream) {
        if (event.type === 'response.output_text.delta') onText(event.delta);
        if (event.type === 'error') throw new Error(event.message);
        if (event.type === 'response.failed') throw new Error(event.response.error?.message);
      }
    },
  },
  {
    dialect: 'messages',
    async read(rig, onText) {
      const client = new Anthropic({ baseURL: rig.url, apiKey: rig.key, maxRetries: 0 });
      const stream = client.messages.stream({
        model: 'sim-chat',
        max_tokens: 4_000,
        messages: [{ role: 'user', content: question }],
      });
      for await (const event of stream) {
        if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') {
          onText(event.delta.text);
        }
      }
    },
  },
  {
    dialect: 'gemini',
    async read(rig, onText) {
      const client = new GoogleGenAI({ apiKey: rig.key, httpOptions: { baseUrl: rig.url } });
      const stream = await client.models.generateContentStream({
        model: 'sim-chat',
        contents: question,
      });
      for await (const chunk of stream) {
        const [candidate] = chunk.candidates ?? [];
        for (const part of candidate?.content?.parts ?? []) onText(part.text ?? '');
      }
    },
  },
];

/** Streams cut at random places, read by the official SDKs: never a text twice, never a clean end. */
export async function midStreamCuts(requests: number, seed: number): Promise<readonly Cuts[]> {
  const results: Cuts[] = [];
  for (const reader of readers) {
    const rig = await startRig({ vendors: [{ id: 'cuts' }, { id: 'well' }], balanceUsd: 1_000 });
    try {
      results.push(await cutsOf(rig, reader, requests, seed));
    } finally {
      await rig.close();
    }
  }
  return results;
}

export type Read = { readonly text: string; readonly error: string | undefined };

/** One stream read to its end, which is an error or not. */
export async function readOnce(rig: Rig, reader: Reader): Promise<Read> {
  let text = '';
  try {
    await reader.read(rig, (piece) => (text += piece));
    return { text, error: undefined };
  } catch (error) {
    return { text, error: error instanceof Error ? error.message : String(error) };
  }
}

async function cutsOf(rig: Rig, reader: Reader, requests: number, seed: number): Promise<Cuts> {
  const random = seededRandom(seed);
  const read = (): Promise<Read> => readOnce(rig, reader);
  const whole = await read();
  const counts = { cuts: 0, errors: 0, silent: 0, wrongTexts: 0, afterContent: 0 };
  let firstProblem: string | undefined;
  for (let index = 0; index < requests; index += 1) {
    const fault = { cut_at_byte: 900 + Math.floor(random() * 4_000) };
    for (const { script } of Object.values(rig.vendors)) script.replace([{ fault }]);
    const { text, error } = await read();
    counts.cuts += 1;
    if (error === undefined) counts.silent += 1;
    else counts.errors += 1;
    if (text !== '') counts.afterContent += 1;
    const isWrong = !whole.text.startsWith(text) || text === whole.text;
    if (isWrong) counts.wrongTexts += 1;
    if (error === undefined || isWrong) {
      firstProblem ??= `cut at ${fault.cut_at_byte}: ${text.length} of ${whole.text.length} characters, ${error ?? 'no error'}`;
    }
  }
  return { dialect: reader.dialect, ...counts, firstProblem };
}
