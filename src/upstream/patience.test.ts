import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { it } from 'node:test';
import { client, failsWith, http, to, until } from './upstream-rig.ts';

it('a call whose owner knows that it is lost ends after half a second, others go on', async (t) => {
  const waiting = new Map<string | undefined, ServerResponse>();
  const port = await http(t, (request, response) => waiting.set(request.url, response));
  let nowMs = 0;
  const upstream = client(t, { clock: { now: () => 0, monotonic: () => nowMs } });
  const url = `http://127.0.0.1:${port}`;
  let questions = 0;
  const isLost = (): boolean => (questions += 1) > 0;
  const lost = upstream.send(to(port, { url: `${url}/never`, patience: { isLost } }));
  const well = upstream.send(
    to(port, { url: `${url}/answers`, patience: { isLost: () => false } }),
  );
  const ended = assert.rejects(lost, failsWith('lost', true));
  await until(() => waiting.size === 2);
  // No call is given up in its first half second, however impatient its owner is.
  nowMs = 499;
  await new Promise((resolve) => setTimeout(resolve, 150));
  assert.equal(questions, 0);
  nowMs = 500;
  await ended;
  waiting.get('/answers')?.end('late but well');
  assert.equal((await well).status, 200);
});
