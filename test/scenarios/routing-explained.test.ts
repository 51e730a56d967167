/** What an operator can see of routing: status, the record of a request, metrics, a dry run. */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { run, serve, type RunningServer } from '#cli';
import { recordOf, startRig } from './rig.ts';

type Printed = { readonly code: number; readonly text: string };

describe('routing of a running server, seen by its operator', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'manifold-explained-'));
  const environment = { MANIFOLD_DATA: folder };
  let server: RunningServer;
  let key = '';
  let requestId = '';

  before(async () => {
    const lines: string[] = [];
    server = await serve({ port: 0 }, environment, {
      line: (text) => lines.push(text),
      error: () => undefined,
    });
    key =
      lines.map((line) => /^ {2}(sk-\S+)$/.exec(line)?.[1]).find((found) => found !== undefined) ??
      '';
    const response = await ask();
    assert.equal(response.status, 200, await response.text());
    requestId = response.headers.get('x-request-id') ?? '';
  });
  after(async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = (): Promise<Response> =>
    fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'sim-chat',
        stream: true,
        messages: [{ role: 'user', content: 'Hello' }],
      }),
    });

  async function command(...words: string[]): Promise<Printed> {
    const lines: string[] = [];
    const output = {
      line: (text: string) => lines.push(text),
      error: (text: string) => lines.push(text),
    };
    const code = await run(words, environment, output);
    return { code, text: lines.join('\n') };
  }

  it('is printed by `channel status` with health, load and limits', async () => {
    const { port } = new URL(server.url);
    const { code, text } = await command('channel', 'status', '--port', port);
    assert.equal(code, 0, text);
    assert.match(text, /CHANNEL +MODEL +STATE/);
    assert.match(text, /simulator +sim-chat +(new|ok) +\d+ ± \d+ ms/);
  });

  it('is refused for a channel that is not there, with what was perhaps meant', async () => {
    const { port } = new URL(server.url);
    for (const form of [[], ['--json']]) {
      const words = ['channel', 'status', 'simulater', '--port', port, ...form];
      const { code, text } = await command(...words);
      assert.equal(code, 1, text);
      assert.equal(text, 'There is no channel simulater. Did you mean simulator?');
    }
    const known = await command('channel', 'status', 'simulator', '--port', port);
    assert.equal(known.code, 0, known.text);
  });

  it('is a clear message when no server runs', async () => {
    const { code, text } = await command('channel', 'status', '--port', '9');
    assert.equal(code, 2);
    assert.match(text, /No server answers at http:\/\/127\.0\.0\.1:9.*manifold serve/);
  });

  it('is explained for every request from its record, also when nothing went wrong', async () => {
    const { code, text } = await command('route', 'explain', requestId);
    assert.equal(code, 0, text);
    assert.match(text, /sim-chat by openai-chat · status 200/);
    assert.match(text, /Admission: admitted/);
    assert.match(text, /→ +simulator +sim-chat +-?\d+\.\d+ +chosen/);
    assert.match(text, /1 +simulator +sim-chat +\d+ ms.* 200 +succeeded/);
    assert.equal((await command('route', 'explain', 'req_unknown')).code, 1);
  });

  it('is told to Prometheus, to this machine without a token', async () => {
    const response = await fetch(`${server.url}/metrics`);
    const text = await response.text();
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
    assert.match(
      text,
      /manifold_requests_total\{dialect="openai-chat",model="sim-chat",status_class="2xx"\} 1\n/,
    );
    assert.match(
      text,
      /manifold_first_content_seconds_count\{dialect="openai-chat",model="sim-chat"\} 1\n/,
    );
    assert.match(text, /manifold_attempts_total\{channel="simulator",outcome="succeeded"\} 1\n/);
    assert.match(text, /manifold_requests_active 0\n/);
    assert.match(text, /manifold_lane_active\{channel="simulator",model="sim-chat"\} 0\n/);
    for (const line of text.trim().split('\n'))
      assert.match(line, /^(#|[a-z_]+(\{[^}]*\})? [-+.\w]+$)/);
  });

  it('is told under the names that the reference lists, and no others', async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const told = Array.from(
      text.matchAll(/^# TYPE (\S+) (\S+)$/gm),
      ([, name, type]) => `${name} ${type}`,
    );
    const page = readFileSync(
      path.resolve(import.meta.dirname, '../../docs/reference/metrics.md'),
      'utf8',
    );
    const listed = Array.from(
      page.matchAll(/^\| `(\S+)` \| (\S+) \|/gm),
      ([, name, type]) => `${name} ${type}`,
    );
    assert.deepEqual(told, listed);
  });

  it('is refused to what a proxy passes on, unless the operator’s token comes with it', async () => {
    const headers = { 'x-forwarded-for': '203.0.113.9' };
    assert.equal((await fetch(`${server.url}/metrics`, { headers })).status, 401);
    const token = readFileSync(path.join(folder, 'admin_token'), 'utf8').trim();
    const authorization = `Bearer ${token}`;
    assert.equal(
      (await fetch(`${server.url}/metrics`, { headers: { ...headers, authorization } })).status,
      200,
    );
  });

  it('never makes a label of a model name that a client invented', async () => {
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'invented-by-me', messages: [{ role: 'user', content: 'x' }] }),
    });
    assert.equal(response.status, 404);
    const text = await (await fetch(`${server.url}/metrics`)).text();
    assert.doesNotMatch(text, /invented-by-me/);
    assert.match(text, /model="unknown",status_class="4xx"\} 1\n/);
  });
});

describe('the record of a request with many channels', () => {
  it('keeps the chosen and the best candidates, counts the others, and stays small', async () => {
    const rig = await startRig({ vendors: [{ id: 'real' }] });
    try {
      const target = rig.vendors['real']?.url ?? '';
      rig.runtime.reload(
        Array.from({ length: 40 }, (_, index) => ({
          id: `c${index}`,
          provider: 'simulator',
          base_url: target,
          secret: 'secret',
          allow_private: true,
          models: ['sim-chat'],
        })),
      );
      const response = await rig.post('/v1/chat/completions', {
        model: 'sim-chat',
        messages: [{ role: 'user', content: 'Hello' }],
      });
      assert.equal(response.status, 200);
      const record = (await recordOf(rig, response.headers.get('x-request-id') ?? '')).detail;
      const routing = record['routing'] as {
        decisions: { candidates: { rejected: string | null }[]; others: Record<string, number> }[];
      };
      const [decision] = routing.decisions;
      assert.equal(decision?.candidates.length, 8);
      assert.equal(decision?.candidates.filter(({ rejected }) => rejected === null).length, 1);
      assert.equal(
        Object.values(decision?.others ?? {}).reduce((sum, count) => sum + count, 0),
        33,
      );
      assert.ok(JSON.stringify(record).length < 4_000);
    } finally {
      await rig.close();
    }
  });
});

describe('a dry run', () => {
  it('names the channel a request would go to and sends nothing', async () => {
    const rig = await startRig({ vendors: [{ id: 'one' }, { id: 'two' }] });
    try {
      const response = await rig.post('/v1/route', {
        model: 'sim-chat',
        messages: [{ role: 'user', content: 'Hello' }],
      });
      const body = (await response.json()) as {
        chosen: { channel: string };
        explanation: { decisions: unknown[] };
      };
      assert.equal(response.status, 200);
      assert.match(body.chosen.channel, /^(one|two)$/);
      assert.equal(body.explanation.decisions.length, 1);
      assert.equal(
        (rig.vendors['one']?.seen.length ?? 0) + (rig.vendors['two']?.seen.length ?? 0),
        0,
      );
    } finally {
      await rig.close();
    }
  });
});
