import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { JoinedAbort } from './joined-abort.ts';

const hourMs = 3_600_000;

test('a joined signal is aborted with the first of its sources, for its reason', () => {
  const sources = [new AbortController(), new AbortController()];
  const joined = new JoinedAbort(
    sources.map(({ signal }) => signal),
    hourMs,
  );
  assert.equal(joined.signal.aborted, false);
  sources[1]?.abort('second');
  sources[0]?.abort('first');
  assert.equal(joined.signal.reason, 'second');
});

test('a joined signal of a source that was aborted before is aborted at once', () => {
  assert.equal(new JoinedAbort([AbortSignal.abort('before')], hourMs).signal.reason, 'before');
});

test('a joined signal is aborted when its time is over', async () => {
  const { signal } = new JoinedAbort([], 1);
  const alive = setInterval(() => undefined, 1_000);
  await new Promise((done) => signal.addEventListener('abort', done));
  clearInterval(alive);
  assert.equal((signal.reason as DOMException).name, 'TimeoutError');
});

test('what was released hears nothing, and its sources hold nothing of it', () => {
  const source = new AbortController();
  const joined = new JoinedAbort([source.signal], hourMs);
  joined.release();
  source.abort();
  assert.equal(joined.signal.aborted, false);
  assert.equal(getEventListeners(source.signal, 'abort').length, 0);
});
