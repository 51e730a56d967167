/** A front on a free port and a client for it: what the tests of this folder share. */

import assert from 'node:assert/strict';
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import type { TestContext } from 'node:test';
import { systemClock, type Clock } from '#std';
import {
  createHttpFront,
  type HttpFront,
  type HttpFrontSettings,
  type HttpRoute,
} from './index.ts';

type Answer = {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
};
type Send = (options: RequestOptions, body?: Uint8Array | string) => Promise<Answer>;
type Started = {
  readonly front: HttpFront;
  readonly port: number;
  readonly send: Send;
  readonly faults: unknown[];
};

export async function start(
  t: TestContext,
  routes: readonly HttpRoute[],
  settings: Partial<HttpFrontSettings<HttpRoute>> = {},
): Promise<Started> {
  const faults: unknown[] = [];
  let sequence = 0;
  const front = createHttpFront({
    listener: { host: '127.0.0.1', port: 0 },
    routes,
    clock: systemClock,
    newRequestId: () => `request-${(sequence += 1)}`,
    renderError: (route, { status, code }, path) => ({
      status,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code, route: route?.pattern, path }),
    }),
    onFault: (error) => faults.push(error),
    ...settings,
  });
  const { port } = await front.listen();
  t.after(() => front.close(0));
  return { front, port, faults, send: (options, body) => sendTo(port, options, body) };
}

/**
 * A clock that can be set forward. Fronts that are started after this look at their connections only
 * then, in place of every half second.
 */
export function movable(t: TestContext): {
  readonly clock: Clock;
  forward(ms: number): Promise<void>;
} {
  let shift = 0;
  t.mock.timers.enable({ apis: ['setInterval'] });
  return {
    clock: { now: () => Date.now(), monotonic: () => performance.now() + shift },
    async forward(ms) {
      shift += ms;
      t.mock.timers.tick(500);
      // What has arrived is read before the front looks, and the answer to it is written after.
      for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
    },
  };
}

export function sendTo(
  port: number,
  options: RequestOptions,
  body?: Uint8Array | string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: '127.0.0.1', port, agent: false, ...options },
      (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.once('error', reject);
        response.once('end', () => {
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(pieces).toString(),
          });
        });
      },
    );
    request.once('error', reject);
    request.end(body);
  });
}

/** A route that reports the length of the body. */
export function measure(extra: Partial<HttpRoute> = {}): HttpRoute {
  return {
    pattern: '/v1/length',
    methods: ['POST'],
    handle: (exchange) => exchange.respond(200, {}, String(exchange.body.length)),
    ...extra,
  };
}

export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition() && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 2));
  assert.ok(condition(), 'the condition was never met');
}
