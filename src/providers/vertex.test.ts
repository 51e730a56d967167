import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import type { AuthorizeTools, OutboundRequest } from './provider.ts';
import vertex from './vertex.ts';

const { privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
});
const secret = JSON.stringify({ client_email: 'a@b.example', private_key: privateKey });
const request: OutboundRequest = {
  method: 'POST',
  url: 'https://a.example/',
  headers: {},
  body: [],
};
const minute = 60_000;

/** How many tokens were fetched for two calls, with as much time between them by each of the clocks. */
async function tokensFor(wallMs: number, monotonicMs: number): Promise<number> {
  let fetched = 0;
  const cache: AuthorizeTools['cache'] = new Map();
  const at = (wall: number, monotonic: number): AuthorizeTools => ({
    nowMs: Date.UTC(2026, 0, 2) + wall,
    monotonicMs: 1_000 + monotonic,
    cache,
    fetchJson: () => {
      fetched += 1;
      const body = JSON.stringify({ access_token: `token-${fetched}`, expires_in: 3600 });
      return Promise.resolve({ status: 200, body });
    },
  });
  const credential = { secret, parameters: {} };
  await vertex.authorize(request, credential, at(0, 0));
  const { headers } = await vertex.authorize(request, credential, at(wallMs, monotonicMs));
  assert.equal(headers['authorization'], `Bearer token-${fetched}`);
  return fetched;
}

test('an access token is fetched once for as long as it lives', async () => {
  assert.equal(await tokensFor(50 * minute, 50 * minute), 1);
  assert.equal(await tokensFor(56 * minute, 56 * minute), 2);
});

test('a clock that is set back does not make an access token live longer', async () => {
  assert.equal(await tokensFor(-120 * minute, 56 * minute), 2);
});

test('a machine that slept does not go on with an old access token', async () => {
  assert.equal(await tokensFor(120 * minute, minute), 2);
});
