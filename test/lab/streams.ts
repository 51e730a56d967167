/**
 * Mixed concurrent streams on the real gateway over simulated vendors with rate limits, while some of
 * them become slow, fail or fall silent: our routing beside two well-known balancers.
 *
 *   node test/lab/streams.ts [--streams 50,500] [--seconds 40] [--routing manifold]
 */

import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { Agent, request } from 'undici';
import { type Services } from '#gateway';
import { channelSchema } from '#providers';
import type { Fault, Rule } from '#simulator';
import { seededRandom, systemClock, systemRandom } from '#std';
import { recordOf, startRig, type Rig } from '../scenarios/rig.ts';
import { createBaselineRouter, type BaselinePolicy } from './baseline-router.ts';

const { values } = parseArgs({
  options: {
    streams: { type: 'string', default: '50,500' },
    seconds: { type: 'string', default: '40' },
    routing: { type: 'string' },
  },
});
const durationMs = Number(values.seconds) * 1_000;

type Vendor = { readonly id: string; readonly firstByteMs: number; readonly price: string };

const vendors: readonly Vendor[] = [
  { id: 'a', firstByteMs: 250, price: '1' },
  { id: 'b', firstByteMs: 350, price: '1' },
  { id: 'c', firstByteMs: 450, price: '0.8' },
  { id: 'd', firstByteMs: 700, price: '0.6' },
];

/** What goes wrong when, as parts of the whole time. */
const script: readonly {
  readonly from: number;
  readonly to: number;
  readonly vendor: string;
  readonly rules: (vendor: Vendor) => readonly Rule[];
}[] = [
  { from: 0.2, to: 0.4, vendor: 'a', rules: (vendor) => [{ fault: pace(vendor, 8) }] },
  { from: 0.4, to: 0.55, vendor: 'b', rules: () => [{ share: 0.5, fault: { status: 500 } }] },
  { from: 0.45, to: 0.6, vendor: 'd', rules: () => [{ share: 0.3, fault: { cut_at_byte: 4 } }] },
  { from: 0.6, to: 0.75, vendor: 'c', rules: () => [{ fault: { silent: true } }] },
  {
    from: 0.75,
    to: 0.85,
    vendor: 'a',
    rules: () => [{ share: 0.4, fault: { status: 429, headers: { 'retry-after': '1' } } }],
  },
];

function pace(vendor: Vendor, slowness = 1): Fault {
  return { delay_ms: vendor.firstByteMs * slowness, pace_ms: 120 };
}

/** A tenth of the requests takes three times as long, everywhere. */
function usualRules(vendor: Vendor, streams: number): readonly Rule[] {
  const perSecond = streams * 0.2;
  const limits = {
    requests_per_minute: Math.ceil(perSecond * 60),
    tokens_per_minute: Math.ceil(perSecond * 60 * 3_000),
    start: 0.1,
  };
  return [{ limits }, { share: 0.1, fault: pace(vendor, 3) }, { fault: pace(vendor) }];
}

const prompts: readonly ((index: number) => string)[] = [
  (index) =>
    `Write code, case ${index}, in 30 words: ${'function add(a, b) { return a + b }\n'.repeat(20)}`,
  (index) => `Write prose about ${index} in 40 words. ${'The river was calm. '.repeat(8)}`,
  (index) =>
    `Sum up document ${index} in 20 words: ${'Section one says little of note. '.repeat(600)}`,
];

type Tally = {
  ok: number;
  tooMany: number;
  errors: number;
  timeouts: number;
  broken: number;
  readonly firstContentMs: number[];
  /** What the errors said, for whoever has to find their cause. */
  readonly said: string[];
};

async function run(streams: number, policy: BaselinePolicy | 'manifold'): Promise<void> {
  const worker = new Worker(new URL('./vendors-thread.ts', import.meta.url), {
    workerData: vendors.length,
  });
  const [urls] = (await once(worker, 'message')) as [string[]];
  const rig = await startRig({
    vendors: [],
    balanceUsd: 1_000,
    channels: vendors.map(({ id, price }, index) =>
      channelSchema.parse({
        id,
        provider: 'simulator',
        base_url: urls[index],
        secret: 's',
        allow_private: true,
        models: { mix: { prices: { input: price, output: price } } },
      }),
    ),
    ...(policy === 'manifold'
      ? {}
      : {
          services: (services: Services) => ({
            ...services,
            router: createBaselineRouter(policy, systemClock, systemRandom),
          }),
        }),
  });
  const setRules = async (index: number, rules: readonly Rule[]): Promise<void> => {
    await request(`${urls[index]}/_script`, { method: 'PUT', body: JSON.stringify(rules) }).then(
      ({ body }) => body.dump(),
    );
  };
  const timers: NodeJS.Timeout[] = [];
  for (const [index, vendor] of vendors.entries()) {
    const usual = usualRules(vendor, streams);
    await setRules(index, usual);
    for (const phase of script.filter((entry) => entry.vendor === vendor.id)) {
      // The limits' state starts anew with the rules; full enough either way.
      timers.push(
        setTimeout(
          () => void setRules(index, [...phase.rules(vendor), ...usual]),
          phase.from * durationMs,
        ),
      );
      timers.push(setTimeout(() => void setRules(index, usual), phase.to * durationMs));
    }
  }
  const tally: Tally = {
    ok: 0,
    tooMany: 0,
    errors: 0,
    timeouts: 0,
    broken: 0,
    firstContentMs: [],
    said: [],
  };
  const agent = new Agent({ connections: streams + 10 });
  const endsAtMs = performance.now() + durationMs;
  const random = seededRandom(1);
  let count = 0;
  const client = async (number: number): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, (number / streams) * 3_000));
    while (performance.now() < endsAtMs) {
      count += 1;
      await ask(rig, agent, prompts[Math.floor(random() * prompts.length)]?.(count) ?? '', tally);
    }
  };
  await Promise.all(Array.from({ length: streams }, (_, number) => client(number)));
  for (const timer of timers) clearTimeout(timer);
  const { attempts, limited } = await attemptsOf(rig);
  await agent.destroy();
  await rig.close();
  await worker.terminate();
  const sorted = tally.firstContentMs.toSorted((left, right) => left - right);
  const at = (share: number): string =>
    (
      (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN) / 1_000
    ).toFixed(2);
  console.log(
    [
      streams,
      policy,
      count,
      `${((100 * tally.ok) / count).toFixed(2)} %`,
      tally.errors,
      tally.timeouts,
      tally.broken,
      tally.tooMany,
      at(0.5),
      at(0.95),
      at(0.99),
      (attempts / count).toFixed(3),
      ((100 * limited) / count).toFixed(2),
    ].join(' | '),
  );
  for (const text of tally.said.slice(0, 3)) console.log(`  ${text}`);
}

/** A client gives up when no content has come after this. */
const clientPatienceMs = 30_000;

async function ask(rig: Rig, agent: Agent, content: string, tally: Tally): Promise<void> {
  const startedAtMs = performance.now();
  let first: number | undefined;
  try {
    const response = await request(`${rig.url}/v1/chat/completions`, {
      dispatcher: agent,
      method: 'POST',
      headers: { authorization: `Bearer ${rig.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'mix',
        stream: true,
        max_tokens: 200,
        messages: [{ role: 'user', content }],
      }),
      signal: AbortSignal.timeout(clientPatienceMs),
    });
    let text = '';
    for await (const piece of response.body) {
      text = (text + String(piece)).slice(-400);
      if (response.statusCode === 200 && first === undefined && text.includes('"content"'))
        first = performance.now() - startedAtMs;
    }
    if (response.statusCode === 429) {
      tally.tooMany += 1;
      // A polite client; a refusal in a loop would only count itself.
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    } else if (response.statusCode !== 200) {
      tally.errors += 1;
      const requestId = String(response.headers['x-request-id']);
      const { detail } = await recordOf(rig, requestId);
      tally.said.push(`${response.statusCode} ${text} ${JSON.stringify(detail)}`);
    } else if (text.includes('[DONE]') && first !== undefined) {
      tally.ok += 1;
      tally.firstContentMs.push(first);
    } else tally.broken += 1;
  } catch {
    tally.timeouts += 1;
  }
}

/** Upstream calls and 429s among them, by the gateway's own records. */
async function attemptsOf(
  rig: Rig,
): Promise<{ readonly attempts: number; readonly limited: number }> {
  let attempts = 0;
  let limited = 0;
  let before: string | undefined;
  for (;;) {
    const page = await rig.books.store.requests.list({
      limit: 500,
      ...(before === undefined ? {} : { before }),
    });
    for (const { detail } of page.records) {
      const list = detail['attempts'];
      if (!Array.isArray(list)) continue;
      attempts += list.length;
      limited += list.filter(
        (attempt) => (attempt as { readonly status?: number }).status === 429,
      ).length;
    }
    if (page.next === undefined || page.next === null) return { attempts, limited };
    before = page.next;
  }
}

console.log(
  'streams | routing | requests | success | errors | time-outs | broken | 429 to clients | first content p50 s | p95 s | p99 s | attempts per request | upstream 429 per 100',
);
for (const streams of values.streams.split(',').map(Number)) {
  for (const policy of ['manifold', 'p2c-peak-ewma', 'weighted-random'] as const)
    if ((values.routing ?? policy) === policy) await run(streams, policy);
}
