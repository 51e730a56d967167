/** The simulator lives in the gateway's own process: nothing that is sent to it may end that. */

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { systemClock, systemRandom } from '#std';
import { startSimulator } from './server.ts';

/** What comes back for bytes on a fresh connection, until it closes. */
function exchange(port: number, bytes: string): Promise<string> {
  return new Promise((done, failed) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.end(bytes));
    socket.setTimeout(5_000, () => socket.destroy(new Error('no end')));
    socket.on('data', (piece: Buffer) => (text += piece.toString()));
    socket.once('error', failed);
    socket.once('close', () => done(text));
  });
}

test('a request target that is no URL closes the connection and nothing else', async (t) => {
  const simulator = await startSimulator({
    host: '127.0.0.1',
    port: 0,
    clock: systemClock,
    random: systemRandom,
  });
  t.after(() => simulator.close());
  const port = Number(new URL(simulator.url).port);
  for (const target of ['//', 'http://[', '/v1/models/%E0%A4%A', '/_script', '/_bill']) {
    await exchange(port, `GET ${target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);
  }
  const answer = await fetch(`${simulator.url}/v1/chat/completions`, {
    method: 'POST',
    body: '{"model":"sim-chat","messages":[{"role":"user","content":"Hi"}]}',
  });
  assert.equal(answer.status, 200);
  await answer.text();
});
