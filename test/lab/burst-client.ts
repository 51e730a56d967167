/**
 * Bursts of simultaneous requests over undici as the gateway uses it: `burst-client.ts ORIGIN WAYS BURST ROUNDS`,
 * WAYS is JSON: `[{name, http2, connections, warm}]`. `warm` is how many connections are open when the burst
 * comes. Prints, by way, the times to first content of all requests.
 */

import { Agent } from 'undici';

type Way = {
  readonly name: string;
  readonly http2: boolean;
  /** Most connections to the vendor. */
  readonly connections: number;
  readonly warm: number;
};

const [origin = '', waysText = '[]', burst = '', rounds = ''] = process.argv.slice(2);
const ways = JSON.parse(waysText) as readonly Way[];
const body = JSON.stringify({
  model: 'm',
  stream: true,
  messages: [{ role: 'user', content: 'Hello '.repeat(50) }],
});

async function ask(agent: Agent): Promise<number> {
  const startedAtMs = performance.now();
  const answer = await agent.request({
    origin,
    path: '/v1/chat/completions',
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  let first: number | undefined;
  for await (const _piece of answer.body) first ??= performance.now() - startedAtMs;
  if (first === undefined) throw new Error('no content');
  return first;
}

const times: number[][] = ways.map(() => []);
let errors = 0;
for (let round = 0; round < Number(rounds); round += 1) {
  for (const [index, { http2, connections, warm }] of ways.entries()) {
    const agent = new Agent({
      connections,
      allowH2: http2,
      keepAliveTimeout: 60_000,
      ...(http2 ? { maxConcurrentStreams: 100, pipelining: 100 } : { pipelining: 1 }),
    });
    await Promise.all(Array.from({ length: warm }, () => ask(agent)));
    const asked = Array.from({ length: Number(burst) }, () =>
      ask(agent).then(
        (time) => void times[index]?.push(time),
        () => void (errors += 1),
      ),
    );
    await Promise.all(asked);
    await agent.close();
  }
}
console.log(JSON.stringify({ times, errors }));
