import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Exchange, ResponseStream } from './http/index.ts';
import { Transcript } from './transcript.ts';

/** A client that reads nothing: its stream takes one piece and never has room again. */
function stalled(): Exchange & { readonly isCut: boolean } {
  let isCut = false;
  const stream: ResponseStream = {
    write: () => false,
    drained: () => drained.promise,
    end: () => {},
    destroy: () => void (isCut = true),
  };
  const drained = Promise.withResolvers<void>();
  setImmediate(() => setImmediate(() => drained.resolve()));
  return {
    signal: new AbortController().signal,
    stream: () => stream,
    get isCut() {
      return isCut;
    },
  } as Partial<Exchange> as Exchange & { readonly isCut: boolean };
}

test('an answer that outgrows its bound is not kept for a client that does not read it', async () => {
  const transcript = new Transcript('request', 'hash', 1_000);
  const client = stalled();
  transcript.begin({ status: 200, headers: {}, streamed: true });
  const followed = transcript.follow(client, 0);
  for (let count = 0; count < 100; count += 1) {
    transcript.write(Buffer.from(`data: ${'x'.repeat(100)}\n\n`));
    if (count === 0) await Promise.resolve();
    assert.ok(transcript.bytes <= 2_200, `${transcript.bytes} bytes after ${count} frames`);
  }
  transcript.end('complete');
  await followed;
  assert.ok(client.isCut, 'a part must not look like the whole');
});
