/** Keys: how they look, who they let in, and how soon a change is seen. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KeyRecord } from '#store';
import { addressTest, clientAddress, readRange } from './address.ts';
import { createAccess, keyFromRequest, type Access } from './access.ts';
import { digestOfKey, isWellFormedKey, mintKey } from './key.ts';
import { allowsModel, matchesPattern, newKeyLimitsSchema, type KeyLimits } from './limits.ts';

const pepper = Buffer.alloc(32, 7);

type Desk = {
  readonly access: Access;
  readonly records: Map<string, KeyRecord>;
  /** The time of day, and how far it was set back. */
  nowMs: number;
  setBackMs: number;
};

/** Access over a store in memory, with a clock that stands still. */
function desk(): Desk {
  const records = new Map<string, KeyRecord>();
  const own: Desk = {
    access: undefined as unknown as Access,
    records,
    nowMs: 1_000_000,
    setBackMs: 0,
  };
  let count = 0;
  const keys = {
    put: async (record: KeyRecord) => void records.set(record.keyId, record),
    get: async (keyId: string) => records.get(keyId),
    findByDigest: async (digest: string) =>
      [...records.values()].find((one) => one.digest === digest),
    list: async () => [...records.values()],
  };
  const access = createAccess({
    store: { keys },
    pepper,
    clock: { now: () => own.nowMs - own.setBackMs, monotonic: () => own.nowMs },
    newId: (prefix) => `${prefix}_${(count += 1)}`,
  });
  return Object.assign(own, { access });
}

async function reasonOf(at: Desk, key: string | undefined, address = '192.0.2.1'): Promise<string> {
  const verdict = await at.access.authenticate(key, address);
  return 'reason' in verdict ? verdict.reason : 'in';
}

async function keyWith(at: Desk, limits: KeyLimits = {}, expiresAtMs?: number): Promise<string> {
  const { key } = await at.access.createKey({ name: 'test', walletId: 'w', limits, expiresAtMs });
  return key;
}

test('a key has 256 random bits and a checksum that every single typing error breaks', () => {
  const key = mintKey();
  assert.match(key, /^sk-mf-[0-9A-Za-z]{49}$/);
  assert.ok(isWellFormedKey(key));
  for (let index = 6; index < key.length; index += 1) {
    const other = key[index] === 'x' ? 'y' : 'x';
    assert.ok(!isWellFormedKey(key.slice(0, index) + other + key.slice(index + 1)), `at ${index}`);
  }
  assert.notEqual(mintKey(), key);
  assert.ok(isWellFormedKey(mintKey((length) => new Uint8Array(length))), 'leading zeros stay');
});

test('only a digest with the pepper is stored', async () => {
  const at = desk();
  const key = await keyWith(at);
  const [record] = at.records.values();
  assert.equal(record?.digest, digestOfKey(key, pepper));
  assert.notEqual(record?.digest, digestOfKey(key, Buffer.alloc(32)));
  assert.ok(!JSON.stringify(record).includes(key.slice(6, 40)));
});

test('each way of not being let in has its reason', async () => {
  const at = desk();
  assert.equal(await reasonOf(at, undefined), 'missing');
  assert.equal(await reasonOf(at, ''), 'missing');
  assert.equal(await reasonOf(at, 'sk-proj-something-else'), 'malformed');
  assert.equal(await reasonOf(at, mintKey()), 'unknown');
  const key = await keyWith(at);
  assert.equal(await reasonOf(at, key), 'in');
  await at.access.revokeKey('key_1');
  assert.equal(await reasonOf(at, key), 'revoked', 'at once in the process that revoked it');
});

/** A key that was in, and was revoked by another process since. */
async function revokedElsewhere(at: Desk): Promise<string> {
  const key = await keyWith(at);
  assert.equal(await reasonOf(at, key), 'in');
  const [record] = at.records.values();
  assert.ok(record);
  at.records.set(record.keyId, { ...record, revokedAtMs: at.nowMs });
  return key;
}

test('a revocation by another process is seen after five seconds', async () => {
  const at = desk();
  const key = await revokedElsewhere(at);
  at.nowMs += 4_999;
  assert.equal(await reasonOf(at, key), 'in');
  at.nowMs += 1;
  assert.equal(await reasonOf(at, key), 'revoked');
});

test('a revocation by another process is seen as soon when the time of day was set back', async () => {
  const at = desk();
  const key = await revokedElsewhere(at);
  at.setBackMs = 3_600_000;
  at.nowMs += 5_000;
  assert.equal(await reasonOf(at, key), 'revoked');
});

test('a key expires at its moment, also while it is remembered', async () => {
  const at = desk();
  const key = await keyWith(at, {}, at.nowMs + 1_000);
  assert.equal(await reasonOf(at, key), 'in');
  at.nowMs += 999;
  assert.equal(await reasonOf(at, key), 'in');
  at.nowMs += 1;
  assert.equal(await reasonOf(at, key), 'expired');
});

test('a key with address ranges is refused from elsewhere, and an empty list lets nobody in', async () => {
  const at = desk();
  const key = await keyWith(at, { ip_ranges: ['203.0.113.0/24', '198.51.100.7', '2001:db8::/32'] });
  const inside = ['203.0.113.9', '::ffff:203.0.113.9', '198.51.100.7', '2001:db8::1'];
  for (const address of inside) assert.equal(await reasonOf(at, key, address), 'in', address);
  const outside = ['203.0.114.1', '198.51.100.8', '2001:db9::1', '', 'unix'];
  for (const address of outside) assert.equal(await reasonOf(at, key, address), 'address', address);
  assert.equal(await reasonOf(at, await keyWith(at, { ip_ranges: [] })), 'address');
});

test('a range of IPv4 written as IPv6 lets its clients in, and a wider one does not', async () => {
  const at = desk();
  const key = await keyWith(at, { ip_ranges: ['::ffff:203.0.113.0/120'] });
  for (const address of ['203.0.113.9', '::ffff:203.0.113.9'])
    assert.equal(await reasonOf(at, key, address), 'in', address);
  assert.equal(await reasonOf(at, key, '203.0.114.9'), 'address');
});

test('limits that an older version took are read, and open nothing', async () => {
  const at = desk();
  const key = await keyWith(at, {});
  for (const [id, record] of at.records)
    at.records.set(id, { ...record, limits: { ip_ranges: ['010.0.0.0/8'] } });
  assert.equal(await reasonOf(at, key, '8.0.0.1'), 'address');
});

test('a key has one budget for each window', () => {
  const daily = { window: 'daily', limit_nano_usd: 1 };
  assert.ok(newKeyLimitsSchema.safeParse({ budgets: [daily] }).success);
  assert.ok(!newKeyLimitsSchema.safeParse({ budgets: [daily, daily] }).success);
});

test('what is no address or range is refused when the key is made', () => {
  const names = ['abc', '', '*'];
  const numbers = [
    '10.1',
    '1',
    '0x7f000001',
    '10.0.0.0/33',
    '10.0.0.256',
    '10.1/16',
    '010.0.0.0/8',
  ];
  for (const text of [...names, ...numbers]) {
    assert.equal(readRange(text), undefined, text);
    assert.ok(!newKeyLimitsSchema.safeParse({ ip_ranges: [text] }).success, text);
  }
});

test('behind trusted proxies the client is the last one that is none of them', () => {
  const isTrusted = addressTest(['10.0.0.0/8', '2001:db8::1']);
  const cases: readonly (readonly [peer: string, told: string | undefined, client: string])[] = [
    ['10.0.0.1', '203.0.113.7', '203.0.113.7'],
    ['::ffff:10.0.0.1', '203.0.113.7', '203.0.113.7'],
    ['10.0.0.1', '198.51.100.1, 203.0.113.7, 10.1.2.3', '203.0.113.7'],
    ['10.0.0.1', '203.0.113.7:4711', '203.0.113.7'],
    ['2001:db8::1', '[2001:db8::7]:4711', '2001:db8::7'],
    ['10.0.0.1', undefined, '10.0.0.1'],
    ['10.0.0.1', '10.0.0.2', '10.0.0.2'],
    ['10.0.0.1', 'unknown', 'unknown'],
    // Who is not trusted may say what he likes.
    ['203.0.113.9', '198.51.100.7', '203.0.113.9'],
  ];
  for (const [peer, told, client] of cases)
    assert.equal(clientAddress(peer, told, isTrusted), client, `${peer} says ${told}`);
  assert.equal(clientAddress('127.0.0.1', '198.51.100.7', addressTest([])), '127.0.0.1');
});

test('a star stands for any run of characters', () => {
  const cases: readonly (readonly [pattern: string, text: string, matches: boolean])[] = [
    ['gpt-4o', 'gpt-4o', true],
    ['gpt-4o', 'gpt-4o-mini', false],
    ['gpt-*', 'gpt-4o', true],
    ['gpt-*', 'xgpt-4o', false],
    ['*', '', true],
    ['*-mini', 'gpt-4o-mini', true],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['ab*ba', 'aba', false],
    ['a**c', 'abc', true],
    ['a.c', 'abc', false],
  ];
  for (const [pattern, text, matches] of cases) {
    assert.equal(matchesPattern(pattern, text), matches, `${pattern} on ${text}`);
  }
  assert.ok(allowsModel(undefined, 'anything'));
  assert.ok(!allowsModel([], 'anything'));
});

test('a pattern of many stars takes no longer than its length', () => {
  const startedAtMs = performance.now();
  assert.ok(!matchesPattern(`${'*a'.repeat(50)}*b`, 'a'.repeat(100_000)));
  assert.ok(performance.now() - startedAtMs < 500);
});

test('a key is found where each dialect puts it', () => {
  const at = (headers: Record<string, string>, query = ''): string | undefined =>
    keyFromRequest(
      (name) => headers[name],
      (name) => new URLSearchParams(query).get(name),
    );
  assert.equal(at({ authorization: 'Bearer k' }), 'k');
  assert.equal(at({ authorization: 'bearer   k ' }), 'k');
  assert.equal(at({ authorization: 'Basic k' }), undefined);
  assert.equal(at({ 'x-api-key': ' k ' }), 'k');
  assert.equal(at({ 'x-goog-api-key': 'k' }), 'k');
  assert.equal(at({ 'api-key': 'k' }), 'k');
  assert.equal(at({}, 'key=k'), 'k');
  assert.equal(at({ 'x-api-key': 'a', authorization: 'Bearer b' }, 'key=c'), 'a');
  assert.equal(
    at({ 'x-api-key': ' ', authorization: 'Bearer b' }),
    'b',
    'an empty one says nothing',
  );
  assert.equal(at({}), undefined);
});
