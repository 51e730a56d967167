/** The program as a newcomer and an operator use it: its first lines, its refusals, its end. */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { run, serve } from '#cli';

/** As users start it. */
const program = path.resolve(import.meta.dirname, '../../tools/bootstrap.mjs');

type Place = { readonly folder: string; readonly environment: Record<string, string> };

function place(t: TestContext): Place {
  const folder = mkdtempSync(path.join(tmpdir(), 'manifold-cli-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return { folder, environment: { MANIFOLD_DATA: path.join(folder, 'data'), PORT: '0' } };
}

/** Runs a command in this process. */
async function call(
  at: Place,
  ...words: string[]
): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const output = {
    line: (text: string) => out.push(text),
    error: (text: string) => err.push(text),
  };
  const code = await run(words, at.environment, output);
  return { code, out: out.join('\n'), err: err.join('\n') };
}

const openai = ['channel', 'add', 'a', '--provider', 'openai', '--secret', 's'];

const refusals: readonly (readonly [words: readonly string[], says: RegExp])[] = [
  [['bogus'], /no command `bogus`[\s\S]*manifold serve/],
  [['constructor'], /no command `constructor`/],
  [['ledger', 'constructor'], /`ledger constructor` is not a command/],
  [['channel', 'add', 'a', '--provider', 'constructor'], /no provider `constructor`/],
  [['serve', '--port', 'abc'], /--port: a port is a number/],
  [['serve', '--prot', '1'], /Unknown option '--prot'/],
  [['serve', '--recordings', '/no/such/folder'], /no folder \/no\/such\/folder/],
  [['serve', '--host', '192.0.2.1'], /`192.0.2.1` is no address of this machine/],
  [['serve', '--config', 'no-such.yaml'], /no-such.yaml: there is no such file/],
  [['sim', '--script', 'no-such.json'], /The script no-such.json cannot be used/],
  [['key'], /Missing: create, list or revoke/],
  [['key', 'list', 'more'], /`more` is one word too many[\s\S]*manifold key list/],
  [['key', 'list', '--port', '1'], /--port does not belong to this command/],
  [['key', 'create', '--name', 'a', '--name', 'b'], /--name is given more than once/],
  [['serve', '--host='], /--host is empty/],
  [['channel', 'status', '--port', 'abc'], /--port: a port is a number/],
  [['channel', 'add', 'simulator', '--provider', 'openai', '--secret', 's'], /another id/],
  [
    [...openai, '--models', 'gpt-5.2', '--prices', '{}'],
    /prices: at least one price, such as `input`, or `free`/,
  ],
  [['ledger', 'balance', 'a b'], /`a b` cannot name a wallet/],
  [['key', 'create', '--limits', '{"a":1}'], /Unrecognized key: "a". For example/],
  [['key', 'create', '--limits', '{"ip_ranges":["abc"]}'], /ip_ranges.0: expected an address/],
  [['key', 'create', '--name', 'a\tb'], /--name: must be one line, without control characters/],
  [['key', 'create', '--name', ' '], /--name: must not be empty/],
  [['key', 'create', '--expires', 'soon'], /`soon` is not a date/],
  [['key', 'create', '--expires', '2099-02-30'], /`2099-02-30` is not a date/],
  [['key', 'create', '--expires', '2020-01-01'], /past already/],
  [['key', 'create', '--wallet', 'a b'], /`a b` cannot name a wallet/],
  [['ledger', 'topup', 'a b', '5'], /`a b` cannot name a wallet/],
  [['ledger', 'topup', 'w', '1e3'], /`1e3` is not an amount/],
  [['ledger', 'topup', 'w', '1', '--kind', 'x'], /none of paid, gift/],
  [['ledger', 'refund', 'w', 'lot', '--amount', '0'], /`0` is not an amount/],
  [['ledger', 'refund', 'w', 'lot', '--amount=-1'], /`-1` is not an amount/],
  [['ledger', 'refund', 'w', 'lot', '--reason', ' '], /--reason is empty/],
  [['channel', 'add', 'a', '--provider', 'nobody'], /no provider `nobody`. Known: /],
  [
    ['channel', 'add', 'a', '--dialect', 'openai-chat', '--base-url', 'http://127.0.0.1:1/v1'],
    /only https URLs are called. .*--allow-private/,
  ],
];

for (const [words, says] of refusals) {
  test(`\`manifold ${words.join(' ')}\` is refused with a remedy`, async (t) => {
    const { code, err, out } = await call(place(t), ...words);
    assert.equal(code, 2, out);
    assert.match(err, says);
  });
}

test('help knows every command, and each command its options', async (t) => {
  const at = place(t);
  const all = await call(at, 'help');
  assert.equal(all.code, 0);
  const one = await call(at, 'key', 'create', '--help');
  assert.match(one.out, /--limits JSON/);
  assert.doesNotMatch(one.out, /--provider/);
  assert.equal((await call(at)).code, 2);
});

test('the version is that of the package, from the sources and from the bundle', async (t) => {
  const at = place(t);
  const { version } = JSON.parse(
    readFileSync(path.join(import.meta.dirname, '../../package.json'), 'utf8'),
  ) as { version: string };
  for (const word of ['--version', '-v'])
    assert.deepEqual(await call(at, word), { code: 0, out: version, err: '' });
  assert.ok((await call(at, 'help')).out.startsWith(`manifold ${version}: `));
  const started = spawnSync(process.execPath, [program, '--version'], {
    encoding: 'utf8',
    env: { ...at.environment, PATH: process.env['PATH'] },
    cwd: at.folder,
  });
  assert.deepEqual([started.stdout, started.stderr, started.status], [`${version}\n`, '', 0]);
});

test('a key is printed alone, works with a wallet that has money, and is revoked', async (t) => {
  const at = place(t);
  const made = await call(at, 'key', 'create', '--wallet', 'w1', '--name', 'ci');
  assert.match(made.out, /^sk-mf-\w{49}$/);
  assert.match(made.err, /0 USD. Add money: manifold ledger topup w1/);
  assert.match((await call(at, 'ledger', 'topup', 'w1', '0.5')).out, /0.5 USD added/);
  const keyId = /key_\w+/.exec(made.err)?.[0] ?? '';
  assert.equal((await call(at, 'key', 'revoke', keyId)).code, 0);
  assert.match((await call(at, 'key', 'list')).out, /ci .* w1 .* revoked/);
  assert.match((await call(at, 'ledger', 'verify')).out, /0 differences/);
});

test('a wallet that nothing was booked for is told from an empty one', async (t) => {
  const at = place(t);
  for (const action of ['balance', 'statement', 'export']) {
    const { code, err } = await call(at, 'ledger', action, 'wallet_taem');
    assert.equal(code, 0);
    assert.match(err, /Nothing was ever booked for wallet_taem\./);
  }
  await call(at, 'ledger', 'topup', 'w', '1');
  for (const action of ['balance', 'statement', 'export'])
    assert.equal((await call(at, 'ledger', action, 'w')).err, '');
  const refund = await call(at, 'ledger', 'refund', 'w', 'lot_x');
  assert.equal(refund.code, 1);
  assert.match(refund.err, /Wallet w has no lot lot_x\. `manifold ledger balance w`/);
});

test('a channel that offers nothing is told when it is added, and by doctor', async (t) => {
  const at = place(t);
  const added = await call(at, ...openai, '--models', 'zzz-*');
  assert.match(added.err, /It offers no model, so nothing is sent there/);
  const looked = await call(at, 'doctor');
  assert.equal(looked.code, 1);
  assert.match(looked.out, /PROBLEM {2}channel a offers no model/);
});

test('the list of keys shows limits, and what is spent and left of budgets', async (t) => {
  const at = place(t);
  const limits = {
    models: ['sim-*', 'gpt-*'],
    budgets: [{ window: 'daily', limit_nano_usd: 1_500_000_000 }],
    requests_per_minute: 60,
  };
  await call(at, 'key', 'create', '--name', 'a', '--limits', JSON.stringify(limits));
  await call(at, 'key', 'create', '--name', 'b');
  const [head = '', second = '', first = ''] = (await call(at, 'key', 'list')).out.split('\n');
  assert.match(head, /STATE +LIMITS$/);
  assert.match(second, / b .* valid +-$/);
  assert.match(
    first,
    / a .* daily 0 of 1\.5 USD spent, 1\.5 left · models sim-\*,gpt-\* · requests_per_minute 60$/,
  );
});

test('a model that would be refused for want of a price is named when its channel is added', async (t) => {
  const at = place(t);
  const server = ['--dialect', 'openai-chat', '--base-url', 'https://models.example.com/v1'];
  const words = ['channel', 'add', 'a', ...server, '--secret', 's', '--models', 'mine,yours'];
  const made = await call(at, ...words);
  assert.equal(made.code, 0, made.err);
  assert.match(made.err, /Without a price, and so refused: mine, yours\. .*--prices free/);
  assert.equal((await call(at, ...words, '--prices', 'free')).err, '');
});

test('a moment of expiry is in UTC, whatever the zone of the machine', async (t) => {
  const at = place(t);
  const zone = process.env['TZ'];
  t.after(() => {
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
  });
  process.env['TZ'] = 'America/New_York';
  await call(at, 'key', 'create', '--expires', '2099-01-31T22:00');
  assert.match((await call(at, 'key', 'list')).out, /until 2099-01-31/);
});

test('secrets are readable by their owner only', async (t) => {
  const at = place(t);
  const server = await serve({}, at.environment, { line: () => {}, error: () => {} });
  await server.stop();
  for (const name of ['pepper', 'admin_token']) {
    assert.equal(statSync(path.join(at.folder, 'data', name)).mode & 0o777, 0o600, name);
  }
  assert.equal(statSync(path.join(at.folder, 'data')).mode & 0o777, 0o700);
});

test('a second server on the same folder is refused, and the first goes on', async (t) => {
  const at = place(t);
  const lines: string[] = [];
  const server = await serve({}, at.environment, {
    line: (text) => lines.push(text),
    error: () => {},
  });
  t.after(() => server.stop());
  const second = await call(at, 'serve');
  assert.equal(second.code, 2);
  assert.match(second.err, /Another Manifold serves from .*data/);
  const key = /sk-mf-\w+/.exec(lines.join('\n'))?.[0] ?? '';
  const answer = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: '{"model":"sim-chat","messages":[{"role":"user","content":"Hi"}]}',
  });
  assert.equal(answer.status, 200);
  await answer.text();
});

test('a database file that was lost is asked for, and one that was removed with its journal is made anew', async (t) => {
  const at = place(t);
  await call(at, 'ledger', 'topup', 'w', '1');
  const file = path.join(at.folder, 'data', 'manifold.db');
  rmSync(file);
  const { code, err } = await call(at, 'ledger', 'balance', 'w');
  assert.equal(code, 2);
  assert.match(
    err,
    /manifold\.db is missing, but .*manifold\.db\.journal-0\. Put it back, or a backup/,
  );
  rmSync(`${file}.journal-0`);
  assert.equal((await call(at, 'ledger', 'balance', 'w')).code, 0);
});

test('a port in use is said, and nothing is opened', async (t) => {
  const at = place(t);
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((listening) => other.once('listening', listening));
  t.after(() => other.close());
  const { port } = other.address() as AddressInfo;
  const { code, err } = await call(at, 'serve', '--port', String(port));
  assert.equal(code, 2);
  assert.match(err, new RegExp(`127.0.0.1:${port} is in use.*PORT=${port + 1}`));
  assert.throws(() => statSync(path.join(at.folder, 'data')), /ENOENT/);
});

test('a folder or database that cannot be used is said in words', async (t) => {
  const at = place(t);
  writeFileSync(path.join(at.folder, 'data'), 'a file');
  const file = await call(at, 'key', 'list');
  assert.equal(file.code, 2);
  assert.match(file.err, /data folder .* cannot be used.*MANIFOLD_DATA/);
  const environment = { ...at.environment, MANIFOLD_DATA: path.join(at.folder, 'other') };
  const url = 'postgres://someone:hidden@127.0.0.1:1/books';
  const database = await call(
    { ...at, environment: { ...environment, DATABASE_URL: url } },
    'key',
    'list',
  );
  assert.equal(database.code, 2);
  assert.match(database.err, /database at 127.0.0.1:1\/books cannot be used: .*ECONNREFUSED/);
  assert.doesNotMatch(database.err, /hidden/);
  const strange = { ...environment, DATABASE_URL: 'mysql://127.0.0.1/x' };
  assert.match((await call({ ...at, environment: strange }, 'key', 'list')).err, /postgres:\/\//);
});

test('doctor shows what is well and what is not', async (t) => {
  const at = place(t);
  const well = await call(at, 'doctor');
  assert.equal(well.code, 0, well.out);
  assert.doesNotMatch(well.out, /PROBLEM/);
  const file = path.join(at.folder, 'm.yaml');
  writeFileSync(file, 'listen:\n  prot: 1\n');
  const ill = await call(at, 'doctor', '--config', file);
  assert.equal(ill.code, 1);
  assert.match(ill.out, /PROBLEM {2}.*m.yaml:2:3: there is no setting `prot`/);
});

test('the printed request streams an answer with usage and cost, and SIGTERM lets it finish', async (t) => {
  const at = place(t);
  const child = spawn(process.execPath, [program, 'serve'], {
    env: { ...at.environment, PATH: process.env['PATH'] },
    cwd: at.folder,
  });
  t.after(() => child.kill('SIGKILL'));
  const ended = new Promise<number | null>((done) => child.once('exit', done));
  const greeting = await new Promise<string>((done) => {
    let text = '';
    child.stdout.on('data', (piece: Buffer) => {
      text += piece.toString();
      if (text.includes('Real models appear')) done(text);
    });
  });
  const url = /listens on (\S+)/.exec(greeting)?.[1] ?? '';
  // The control API is a part of the program that is loaded only now.
  const description = await fetch(`${url}/admin/openapi.json`, {
    headers: {
      authorization: `Bearer ${readFileSync(path.join(at.folder, 'data', 'admin_token'), 'utf8').trim()}`,
    },
  });
  assert.equal(description.status, 200);
  assert.match(await description.text(), /"openapi"/);
  const key = /sk-mf-\w+/.exec(greeting)?.[0] ?? '';
  const body = /-d '(\{.*\})'/.exec(greeting)?.[1];
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body }),
  });
  child.kill('SIGTERM');
  const text = await answer.text();
  assert.match(text, /"usage":\{"prompt_tokens":\d+.*"cost":0\.\d+.*"receipt_id":"rcpt_/);
  assert.match(text, /data: \[DONE\]\s*$/);
  assert.equal(await ended, 0);
});

test(
  'Ctrl-C while workers start is no failure of theirs',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const at = place(t);
    // The bundle is made before, or its maker would be the first child.
    spawnSync(process.execPath, [program, '--version'], { cwd: at.folder });
    const child = spawn(process.execPath, [program, 'serve', '--workers', '2'], {
      env: { ...process.env, ...at.environment },
      cwd: at.folder,
      detached: true,
    });
    t.after(() => child.kill('SIGKILL'));
    const pid = child.pid ?? 0;
    const said: string[] = [];
    child.stdout.on('data', (chunk: Buffer) => said.push(chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => said.push(chunk.toString()));
    const ended = new Promise((resolve) => child.once('exit', resolve));
    while (childrenOf(pid).length === 0) await pause(1);
    // As a terminal does: to the whole group.
    process.kill(-pid, 'SIGINT');
    assert.equal(await ended, 0, said.join(''));
    assert.equal(said.join(''), 'Stopped while it was starting.\n');
  },
);

function childrenOf(pid: number): readonly string[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.split(' ').filter((word) => word !== '');
}
