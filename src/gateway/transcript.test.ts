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

const events = { 'content-type': 'text/event-stream; charset=utf-8' };

test('an answer that outgrows its bound is not kept for a client that does not read it', async () => {
  const transcript = new Transcript('request', 'hash', 1_000);
  const client = stalled();
  transcript.begin({ status: 200, headers: events, streamed: true });
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

test('a stream that is one JSON array is followed piece by piece, not only at its end', async () => {
  const transcript = new Transcript('request', 'hash', 1_000);
  const pieces: string[] = [];
  const stream: ResponseStream = {
    write: (bytes) => pieces.push(Buffer.from(bytes).toString()) > 0,
    drained: () => Promise.resolve(),
    end: () => {},
    destroy: () => {},
  };
  const client = { signal: new AbortController().signal, stream: () => stream };
  const headers = { 'content-type': 'application/json; charset=utf-8' };
  transcript.begin({ status: 200, headers, streamed: true });
  const followed = transcript.follow(client as Partial<Exchange> as Exchange, 0);
  transcript.write(Buffer.from('[{"a":1}'));
  await new Promise(setImmediate);
  assert.deepEqual(pieces, ['[{"a":1}']);
  transcript.write(Buffer.from(']'));
  transcript.end('complete');
  await followed;
  assert.deepEqual(pieces, ['[{"a":1}', ']']);
});
