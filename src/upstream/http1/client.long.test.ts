import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { it } from 'node:test';
import { UpstreamFailure } from '../failure.ts';
import { client, listen, says, to } from '../upstream-rig.ts';

it('bytes that nobody asked for never answer another request, in 10,000 requests to an upstream that adds them in every way @hostile', async (t) => {
  let turn = 0;
  let connections = 0;
  // Without delay, so that nothing is held back until the next request has left: then it could not be told apart.
  const server = createServer({ noDelay: true }, (socket) => {
    connections += 1;
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      const id = /x-id: (\w+)/.exec(bytes.toString('latin1'))?.[1] ?? '';
      const poison = says(`poison-${id}`);
      turn += 1;
      switch (turn % 20) {
        case 0:
          socket.write(says(id) + poison);
          break;
        case 1:
          socket.write(says(id));
          socket.write(poison);
          break;
        case 2:
          socket.write(says(id));
          queueMicrotask(() => socket.write(poison.slice(0, 9)));
          break;
        case 3:
          socket.write(`HTTP/1.1 204 No Content\r\ncontent-length: 7\r\n\r\npoison!`);
          break;
        case 4:
          socket.end(says(id));
          break;
        default:
          socket.write(says(id));
      }
    });
  });
  const port = await listen(t, server);
  const upstream = client(t);
  let good = 0;
  let next = 0;
  const wrong: string[] = [];
  const ask = async (): Promise<void> => {
    while (next < 10_000) {
      const id = `id${(next += 1)}`;
      try {
        const answer = await upstream.send(to(port, { headers: { 'x-id': id } }));
        const body = (await answer.collect(1_000)).toString();
        if (body === id) good += 1;
        else if (answer.status !== 204) wrong.push(`${id}: ${body}`);
      } catch (error) {
        if (!(error instanceof UpstreamFailure)) wrong.push(String(error));
      }
    }
  };
  await Promise.all(Array.from({ length: 24 }, ask));
  assert.deepEqual(wrong, []);
  assert.ok(good > 9_000, `${good} good answers`);
  assert.ok(connections > 2_000, `${connections} connections`);
  assert.equal(upstream.running, 0);
});
