import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Exchange, ResponseStream } from './http/index.ts';
import { Transcript } from './transcript.ts';

test('who follows a long answer keeps nothing of each wait for its next piece', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const stream: ResponseStream = {
    write: () => true,
    drained: () => Promise.resolve(),
    end: () => {},
    destroy: () => {},
  };
  const client = { signal: new AbortController().signal, stream: () => stream };
  const transcript = new Transcript('request', 'hash', 2 ** 20);
  transcript.begin({
    status: 200,
    headers: { 'content-type': 'text/event-stream; charset=utf-8' },
    streamed: true,
  });
  const followed = transcript.follow(client as Partial<Exchange> as Exchange, 0);
  const heapAfter = async (count: number): Promise<number> => {
    for (let written = 0; written < count; written += 1) {
      transcript.write(Buffer.from('data: some words of an answer\n\n'));
      await turn();
    }
    collect();
    return process.memoryUsage().heapUsed;
  };
  // Its bound is reached by then, so that the frames themselves no longer add up.
  const before = await heapAfter(30_000);
  const grown = (await heapAfter(30_000)) - before;
  transcript.end('complete');
  await followed;
  assert.ok(grown < 2 ** 21, `${grown} bytes`);
});
