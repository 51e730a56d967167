/** A configuration that is wrong says on which line, what is wrong, and what to write instead. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { ConfigError, loadConfig, readPort } from './config.ts';
import { parseConfig } from './config-file.ts';

const environment = { KEY: 'sk-from-environment', EMPTY: '' };

function complaintOf(text: string): string {
  try {
    parseConfig(text, 'm.yaml', environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return assert.fail(`accepted: ${text}`);
}

const channel = 'channels:\n  - id: a\n    provider: openai\n    secret: x\n';

/** What is written, where the complaint points, and what it says. */
const mistakes: readonly (readonly [text: string, place: string, words: RegExp])[] = [
  ['listn:\n  port: 1\n', '1:1', /no setting `listn`. Did you mean `listen`\?/],
  ['data: x\nlisten:\n  prot: 1\n', '3:3', /no setting `prot` under `listen`.*`port`/],
  [
    `${channel}    models: {m: {prices: {imput: '1', output: '2'}}}\n`,
    '5:27',
    /no setting `imput` under `channels\[0\].models.m.prices`. Did you mean `input`\?/,
  ],
  [
    `${channel}    base_url: http://127.0.0.1:11434\n`,
    '2:5',
    /only https URLs are called. A server of your own.* needs `allow_private: true`/,
  ],
  [`${channel}    base_url: https://10.0.0.5\n`, '2:5', /is private. A server of your own/],
  ['listen:\n  port: abc\n', '2:3', /`listen.port`: expected number, received string. Port;/],
  ['listen:\n  port: 70000\n', '2:3', /<=65535/],
  ['listen:\n port: 1\n  host: x\n', '2:8', /not valid YAML.*indentation/],
  ['data: [1\n', '2:1', /not valid YAML/],
  ['- x\n', '1:1', /must hold settings/],
  ['hello\n', '1:1', /must hold settings/],
  ['data: a\ndata: b\n', '2:1', /written once/],
  [channel.replace('id: a', 'id: simulator'), '2:5', /built-in simulator.* another id/],
  ['listen:\n  host: ""\n', '2:3', /a text that is not empty/],
  ['data: ""\n', '1:1', /a text that is not empty/],
  ['listen:\n  cors_origins: [app.example]\n', '2:18', /an origin such as https:/],
  [`${channel}    models: {m: {prices: {}}}\n`, '5:18', /at least one price/],
  [
    'models:\n  - { id: m, vendor: v, offers: { opnai: x } }\n',
    '2:35',
    /no provider `opnai`. Did you mean `openai`\?/,
  ],
  [
    'models:\n  - id: m\n    vendor: v\n    offers: { openai: x }\n    prices: [{ from: 2026-02-30, source: s, units: {} }]\n',
    '5:16',
    /a day of the calendar/,
  ],
  [`${channel.replace('x', '${NOPE}')}`, '4:13', /NOPE is not set. Set it, or write the value/],
  [`${channel.replace('x', '${EMPTY}')}`, '4:13', /EMPTY is not set/],
  [channel.replace('openai', 'opnai'), '2:5', /no provider `opnai`. Known: .*openai/],
  [channel.replace('    secret: x\n', ''), '2:5', /has no key: set `secret` or set OPENAI_API_KEY/],
  [channel.replace('id: a', 'weight: 1'), '2:5', /`channels\[0\].id`: .*nothing is here/],
  [channel.replace('id: a', 'id: A b'), '2:5', /lower-case letters/],
  [`${channel}${channel.slice(10)}`, '5:5', /channel `a` above already/],
  ['channels:\n  - id: a\n    dialect: openai-chat\n', '2:5', /both `dialect` and `base_url`/],
  [`${channel}    base_url: localhost:8000\n`, '5:5', /begins with http:\/\/ or https:\/\//],
  [`${channel}    models: 5\n`, '5:5', /expected array, received number, or expected record/],
  [`${channel}    models:\n      m: {prices: {input: 1.5}}\n`, '6:20', /in quotes: "1.5"/],
  ['aliases:\n  a: gpt-5.2-por\n', '2:3', /no model `gpt-5.2-por`. Near are .*`gpt-5.2-pro`/],
  ['log_level: loud\n', '1:1', /one of "debug"\|"info"/],
  ['limits:\n  body_bytes: 600000000\n', '2:3', /<=536870912/],
  ['limits:\n  body_bytes: 500000000\n', '1:1', /held_bytes.*never fits/],
  ['request_ms: 3000000000\n', '1:1', /<=2147483647/],
  ['listen:\n  cors_origins: http://a\n', '2:3', /expected "\*", or expected array/],
  ['x: &a [b]\ny: *c\n', '2:4', /alias \*c names nothing/],
];

for (const [text, place, words] of mistakes) {
  test(`this is refused at ${place}: ${JSON.stringify(text)}`, () => {
    const complaint = complaintOf(text);
    assert.equal(complaint.split(': ')[0], `m.yaml:${place}`, complaint);
    assert.match(complaint, words);
  });
}

test('every mistake is named at once, up to five', () => {
  const complaint = complaintOf('a: 1\nb: 2\nlisten:\n  port: x\n');
  assert.deepEqual(
    complaint.split('\n').map((line) => line.split(': ')[0]),
    ['m.yaml:4:3', 'm.yaml:1:1', 'm.yaml:2:1'],
  );
});

test('a secret is never repeated in a complaint', () => {
  const complaint = complaintOf(`${channel.replace('x', '${KEY}')}    limits: {a: \${KEY}}\n`);
  assert.doesNotMatch(complaint, /sk-from-environment/);
});

test('variables are replaced, empty groups and empty files are defaults', () => {
  const config = parseConfig(channel.replace('x', '"${KEY}"'), 'm.yaml', environment);
  assert.equal(config.channels[0]?.secret, 'sk-from-environment');
  for (const text of ['', '# only a comment\n', 'listen:\n  # port: 1\n']) {
    assert.equal(parseConfig(text, 'm.yaml', {}).listen.port, 8080);
  }
});

test('a bomb of aliases is refused, not expanded', () => {
  const rows = ['a0: &a0 [x, x, x, x, x, x, x, x, x]'];
  for (let row = 1; row < 12; row += 1) {
    rows.push(
      `a${row}: &a${row} [${Array(9)
        .fill(`*a${row - 1}`)
        .join(', ')}]`,
    );
  }
  assert.match(complaintOf(rows.join('\n')), /alias/);
});

test('the environment overrides the file; empty variables say nothing', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'manifold-config-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'm.yaml');
  writeFileSync(file, 'listen: {port: 1000, host: 0.0.0.0}\ndata: here\n');
  const overridden = await loadConfig(file, { PORT: '2000', MANIFOLD_DATA: 'there' });
  assert.deepEqual(
    [overridden.config.listen.port, overridden.config.listen.host, overridden.config.data],
    [2000, '0.0.0.0', 'there'],
  );
  const unchanged = await loadConfig(file, { PORT: '', MANIFOLD_DATA: '', DATABASE_URL: '' });
  assert.equal(unchanged.config.listen.port, 1000);
  assert.equal(unchanged.config.data, 'here');
  assert.equal(unchanged.config.database_url, undefined);
  await assert.rejects(loadConfig(folder, {}), /this is a folder/);
  await assert.rejects(loadConfig(path.join(folder, 'no.yaml'), {}), /no such file/);
  await assert.rejects(loadConfig(file, { PORT: 'http' }), /PORT: a port is a number/);
});

test('a port is a whole number up to 65535', () => {
  assert.equal(readPort('0', '--port'), 0);
  assert.equal(readPort('65535', '--port'), 65_535);
  for (const text of ['', '-1', '65536', '99999', '1e3', '0x50', '8080x', ' 80']) {
    assert.throws(() => readPort(text, '--port'), /--port: a port is a number/);
  }
});
