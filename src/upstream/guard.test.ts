import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { systemClock } from '#std';
import { zoneOf } from './address.ts';
import { checkUrl, guardedLookup, type Resolve } from './guard.ts';
import { createEgress, createUpstream, UpstreamFailure } from './index.ts';

const forbiddenV4 = [
  '0.0.0.0', '0.1.2.3', '10.0.0.1', '10.255.255.255', '100.64.0.1', '100.100.100.200', '100.127.255.255',
  '127.0.0.1', '127.1.2.3', '169.254.169.254', '169.254.170.2', '172.16.0.1', '172.31.255.255', '192.0.0.1',
  '192.0.0.192', '192.0.2.1', '192.88.99.1', '192.168.0.1', '192.168.255.255', '198.18.0.1', '198.19.255.255',
  '198.51.100.7', '203.0.113.9', '224.0.0.1', '239.255.255.250', '240.0.0.1', '255.255.255.255',
]; // prettier-ignore

const forbiddenV6 = [
  '::', '::1', 'fe80::1', 'febf::1', 'fec0::1', 'fc00::1', 'fd00:ec2::254', 'fdff::1', 'ff02::1', 'ff0e::1',
  '2001:db8::1', '3fff::1', '2001:2::1', '2001:10::1', '2001:20::1', '100::1', '5f00::1', '64:ff9b:1::1', '4000::1',
]; // prettier-ignore

function hex(bytes: readonly number[]): string {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function pairs(bytes: readonly number[]): string {
  const text = hex(bytes);
  return `${text.slice(0, 4)}:${text.slice(4)}`;
}

/** All the ways in which a URL can name an IPv4 address. */
function spellings(address: string): string[] {
  const bytes = address.split('.').map(Number);
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  const whole = a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d;
  const client = bytes.map((byte) => byte ^ 0xff);
  return [
    address,
    `${address}.`,
    String(whole),
    `0x${hex(bytes)}`,
    `0${whole.toString(8)}`,
    `0x${a.toString(16)}.${b}.${c}.0${d.toString(8)}`,
    `${a}.${b * 65_536 + c * 256 + d}`,
    `${a}.${b}.${c * 256 + d}`,
    address.replaceAll('.', '%2e'),
    address.replaceAll('.', '\u3002'),
    address.replace(/\d/g, (digit) => String.fromCodePoint(0xff10 + Number(digit))),
    `[::ffff:${address}]`,
    `[::ffff:${pairs(bytes)}]`,
    `[0:0:0:0:0:ffff:${pairs(bytes)}]`,
    `[::ffff:0:${pairs(bytes)}]`,
    `[::${address}]`,
    `[64:ff9b::${address}]`,
    `[64:ff9b::${pairs(bytes)}]`,
    `[2002:${pairs(bytes)}::1]`,
    `[2001:0:5db8:d822:0:0:${pairs(client)}]`,
    `[2606:4700::5efe:${pairs(bytes)}]`,
  ];
}

const urls = [
  ...forbiddenV4.flatMap(spellings).map((host) => `https://${host}/latest/meta-data`),
  ...forbiddenV6.map((address) => `https://[${address}]/`),
  'http://example.com/plain', 'https://user:secret@example.com/', 'https://user@example.com/', 'ftp://example.com/',
  'file:///etc/passwd', 'gopher://example.com/', 'data:text/plain,x', 'javascript:alert(1)', 'https://', 'https:///',
  '//example.com/', 'example.com', '', 'https://example.com:22/', 'https://example.com:6379/', 'https://exa mple.com/',
  'https://[::1%25eth0]/', 'https://[fe80::1%25lo]/', `https://example.com/${'x'.repeat(10_000)}`,
  'https://localhost/', 'https://LOCALHOST./', 'https://rebound.example/', 'https://mixed.example/', 'https://empty.example/',
  'https://metadata.example/', 'https://mapped.example/', 'https://odd.example/',
]; // prettier-ignore

const records: Readonly<Record<string, readonly string[]>> = {
  localhost: ['127.0.0.1', '::1'],
  'localhost.': ['127.0.0.1'],
  'rebound.example': ['127.0.0.9'],
  'mixed.example': ['93.184.215.14', '169.254.169.254'],
  'empty.example': [],
  'metadata.example': ['fd00:ec2::254'],
  'mapped.example': ['::ffff:127.0.0.1'],
  'odd.example': ['127.1'],
};

const resolve: Resolve = (hostname) => {
  const found = records[hostname];
  if (found === undefined)
    return Promise.reject(Object.assign(new Error('unknown'), { code: 'ENOTFOUND' }));
  return Promise.resolve(
    found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
  );
};

test(`${urls.length} URLs of clients to forbidden places open no socket and are told alike`, async (t) => {
  assert.ok(urls.length >= 250);
  const upstream = createUpstream({ clock: systemClock, resolve });
  t.after(() => upstream.close());
  const egress = createEgress({ upstream });
  const attempts: string[] = [];
  const observe = (message: unknown): void => {
    const { socket } = message as { socket: Socket };
    socket.on('connectionAttempt', (address: string) => attempts.push(address));
  };
  subscribe('net.client.socket', observe);
  const wrong: string[] = [];
  for (const url of urls) {
    try {
      await egress.fetchMedia(url);
      wrong.push(url);
    } catch (error) {
      const told =
        error instanceof Error && 'error' in error ? JSON.stringify(error.error) : String(error);
      const expected = url.includes('empty.example') ? 'invalid_request' : 'forbidden_url';
      if (!told.includes(expected)) wrong.push(`${url}: ${told}`);
    }
  }
  unsubscribe('net.client.socket', observe);
  assert.deepEqual(wrong, []);
  assert.deepEqual(attempts, []);
});

test('the counter of connection attempts sees an allowed one', async (t) => {
  const upstream = createUpstream({ clock: systemClock, resolve });
  t.after(() => upstream.close());
  const attempts: string[] = [];
  const observe = (message: unknown): void => {
    const { socket } = message as { socket: Socket };
    socket.on('connectionAttempt', (address: string) => attempts.push(address));
  };
  subscribe('net.client.socket', observe);
  await assert.rejects(
    upstream.fetchText(
      { url: 'http://rebound.example:9/', method: 'GET', headers: {} },
      { allowPrivate: true, totalMs: 100 },
    ),
    UpstreamFailure,
  );
  unsubscribe('net.client.socket', observe);
  assert.deepEqual(attempts, ['127.0.0.9']);
});

test('zones are decided on bytes, and private ones open only to marked channels', () => {
  for (const address of [
    '93.184.215.14',
    '8.8.8.8',
    '2606:4700::1111',
    '::ffff:8.8.8.8',
    '64:ff9b::808:808',
  ]) {
    assert.equal(zoneOf(address), 'public', address);
  }
  for (const address of [
    '127.0.0.1',
    '10.1.2.3',
    '192.168.1.1',
    '::1',
    'fd12::1',
    '::ffff:10.0.0.1',
    '100.64.0.1',
  ]) {
    assert.equal(zoneOf(address), 'private', address);
  }
  for (const address of [
    '169.254.169.254',
    'fe80::1',
    '::',
    'fd00:ec2::254',
    '100.100.100.200',
    'name',
    'fe80::1%lo',
  ]) {
    assert.equal(zoneOf(address), 'forbidden', address);
  }
  const marked = { allowPrivate: true };
  assert.equal(checkUrl('http://localhost:11434/v1', marked).port, '11434');
  assert.equal(checkUrl('http://192.168.1.5/v1', marked).hostname, '192.168.1.5');
  assert.throws(() => checkUrl('http://169.254.169.254/', marked), UpstreamFailure);
  assert.throws(() => checkUrl('http://[fe80::1]/', marked), UpstreamFailure);
  assert.throws(() => checkUrl('http://0.0.0.0/', marked), UpstreamFailure);
});

test('a name that is rebound between two look-ups is refused by the second', async () => {
  const answers = ['93.184.215.14', '127.0.0.1'];
  const rebinding: Resolve = () => Promise.resolve([{ address: answers.shift() ?? '', family: 4 }]);
  const lookup = promisify(guardedLookup(rebinding, { allowPrivate: false }));
  assert.deepEqual(await lookup('rebinding.example', { all: true }), [
    { address: '93.184.215.14', family: 4 },
  ]);
  assert.equal(answers.length, 1, 'one check asks once');
  await assert.rejects(lookup('rebinding.example', { all: true }), UpstreamFailure);
});
