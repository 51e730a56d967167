import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Transcripts } from './idempotency.ts';
import type { Transcript } from './transcript.ts';

const head = { status: 200, headers: {}, streamed: false };

function running(transcripts: Transcripts, key: string, bytes: number): Transcript {
  const transcript = transcripts.begin(key, key, 'hash');
  transcript.begin(head);
  transcript.write(Buffer.alloc(bytes));
  return transcript;
}

test('finished answers make room for new requests, the oldest first', () => {
  const transcripts = new Transcripts(1_000);
  for (const key of ['a', 'b', 'c']) {
    const transcript = running(transcripts, key, 400);
    transcript.end('complete');
    transcripts.finished(key, transcript);
  }
  assert.equal(transcripts.get('a'), undefined);
  assert.ok(transcripts.get('b') && transcripts.get('c'));
});

test('what still runs is kept, and more of it is refused when it fills the memory', () => {
  const transcripts = new Transcripts(1_000);
  const first = running(transcripts, 'a', 600);
  running(transcripts, 'b', 600);
  assert.throws(() => transcripts.begin('c', 'c', 'hash'), /Too many idempotent answers/);
  assert.ok(transcripts.get('a') && transcripts.get('b'));
  first.end('complete');
  transcripts.finished('a', first);
  assert.equal(transcripts.get('a'), undefined);
  transcripts.begin('c', 'c', 'hash');
});

test('what is forgotten no longer counts', () => {
  const transcripts = new Transcripts(1_000);
  for (let count = 0; count < 10; count += 1) {
    const transcript = running(transcripts, 'a', 900);
    transcript.fail(new Error('refused'));
    transcripts.remove('a', transcript);
    assert.equal(transcript.bytes, 0);
  }
});
