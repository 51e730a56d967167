/**
 * A whole gateway over simulated vendors, in this process, on ephemeral loopback ports: what every
 * scenario test drives. `close` must be awaited; it checks that nothing is left behind.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { duplexPair } from 'node:stream';
import {
  configSchema,
  createRuntime,
  openBooks,
  type Books,
  type Config,
  type OwnRuntime,
} from '#cli';
import { createGateway, type Services } from '#gateway';
import type { KeyLimits } from '#access';
import { channelSchema, type ChannelDefinition } from '#providers';
import {
  startSimulator,
  type Rule,
  type RunningSimulator,
  type SimulatorOptions,
} from '#simulator';
import { nanoUsd, systemClock, systemRandom } from '#std';
import type { RequestRecord } from '#store';
import { createDistantShared, Link, ServedWorker, type OwnerCalls } from '#workers';

export type Vendor = {
  readonly id: string;
  readonly rules?: readonly Rule[];
  readonly channel?: Readonly<Record<string, unknown>>;
  readonly simulator?: Partial<SimulatorOptions>;
};

export type RigOptions = {
  readonly vendors?: readonly Vendor[];
  /** Settings over the defaults of the configuration. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** US dollars in the wallet; 10 unless told. */
  readonly balanceUsd?: number;
  readonly limits?: KeyLimits;
  /** Other services in the place of some: a router with settings of its own. */
  readonly services?: (services: Services) => Services;
  /** Any further channels, beside those of the vendors. */
  readonly channels?: readonly ChannelDefinition[];
};

export type Rig = {
  readonly url: string;
  readonly key: string;
  readonly walletId: string;
  readonly books: Books;
  readonly runtime: OwnRuntime;
  readonly vendors: { readonly [id: string]: RunningSimulator };
  post(
    path: string,
    body: unknown,
    headers?: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<Response>;
  close(): Promise<void>;
};

/** With the value `worker`, what requests share is asked over a pipe, as in a worker of a server. */
const rigForm = 'MANIFOLD_RIG';

function asInWorker(runtime: OwnRuntime): Services {
  const [here, there] = duplexPair();
  void new ServedWorker(here, runtime.owned);
  const owner = new Link<OwnerCalls>(there, {});
  return { ...runtime.services, ...createDistantShared(owner) };
}

export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const folder = mkdtempSync(path.join(tmpdir(), 'manifold-rig-'));
  const config: Config = configSchema.parse({
    data: folder,
    log_level: 'error',
    listen: { port: 0 },
    ...options.config,
  });
  const vendors: Record<string, RunningSimulator> = {};
  const extra: ChannelDefinition[] = [...(options.channels ?? [])];
  for (const vendor of options.vendors ?? [{ id: 'simulator' }]) {
    const simulator = await startSimulator({
      host: '127.0.0.1',
      port: 0,
      rules: vendor.rules,
      clock: systemClock,
      random: systemRandom,
      ...vendor.simulator,
    });
    vendors[vendor.id] = simulator;
    extra.push(
      channelSchema.parse({
        id: vendor.id,
        provider: 'simulator',
        base_url: simulator.url,
        secret: 'secret',
        allow_private: true,
        models: simulator.models,
        ...vendor.channel,
      }),
    );
  }
  const books = await openBooks(config);
  const runtime = await createRuntime({ config, environment: {}, books, extra });
  const services = process.env[rigForm] === 'worker' ? asInWorker(runtime) : runtime.services;
  const front = createGateway({
    services: options.services?.(services) ?? services,
    listener: { host: '127.0.0.1', port: 0 },
    limits: { bodyBytesMax: config.limits.body_bytes, heldBytesMax: config.limits.held_bytes },
  });
  const { port } = await front.listen();
  const walletId = 'wallet_test';
  const balance = nanoUsd(Math.round((options.balanceUsd ?? 10) * 1e9));
  if (balance > 0)
    await books.ledger.credit({
      walletId,
      amountNanoUsd: balance,
      lotKind: 'paid',
      source: 'test',
      eventId: 'test',
      actor: 'test',
    });
  const { key } = await books.access.createKey({ name: 'test', walletId, limits: options.limits });
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    key,
    walletId,
    books,
    runtime,
    vendors,
    post: (at, body, headers = {}, signal) =>
      fetch(url + at, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
        ...(signal ? { signal } : {}),
      }),
    async close() {
      await front.close(200);
      await runtime.close();
      for (const simulator of Object.values(vendors)) await simulator.close();
      await books.store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The record of a request, which may be written a moment after the answer was read. */
export async function recordOf(rig: Rig, requestId: string): Promise<RequestRecord> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const record = await rig.books.store.requests.get(requestId);
    if (record) return record;
    if (performance.now() > deadline) throw new Error(`no record of the request ${requestId}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The `data:` payloads of an SSE text, parsed; `[DONE]` and comments left out. */
export function sseData(text: string): Record<string, unknown>[] {
  return text
    .split(/\r?\n\r?\n/)
    .flatMap((block) => block.split(/\r?\n/).filter((line) => line.startsWith('data:')))
    .map((line) => line.slice(5).trim())
    .filter((data) => data !== '' && data !== '[DONE]')
    .map((data) => JSON.parse(data) as Record<string, unknown>);
}
