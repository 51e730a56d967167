/** What a log line never holds, and how long it may get. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog, redact } from './log.ts';

const secrets = [
  'sk-mf-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM',
  'sk-proj-abc_DEF-0123456789',
  'sk-ant-api03-abcdefghijklmnop',
  'gsk_0123456789abcdefghij',
  'hf_abcdefghijklmnopqrst',
  'xai-0123456789abcdef',
  'op-Zm9vYmFyYmF6cXV4Zm9vYmFy',
  'AIzaSyA0123456789abcdefghijklmnopqrstu',
  'AKIAIOSFODNN7EXAMPLE',
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl',
];

for (const secret of secrets) {
  test(`${secret.slice(0, 8)}… is cut out of any text`, () => {
    const around = [`${secret}`, `Incorrect API key: "${secret}".`, `{"k":"${secret}"}`];
    for (const text of around) assert.ok(!redact(text).includes(secret.slice(8)), redact(text));
  });
}

test('credentials in headers, queries and addresses are cut out', () => {
  const text = redact(
    'authorization: Bearer abcdefgh12345 https://a/x?key=topsecret&b=1 postgres://me:hidden@db/x socks5://u:pass@h',
  );
  for (const secret of ['abcdefgh12345', 'topsecret', 'hidden', ':pass@']) {
    assert.ok(!text.includes(secret), text);
  }
  assert.match(text, /b=1/);
  assert.match(text, /db\/x/);
});

test('ordinary words stay as they are', () => {
  const text =
    'the model gpt-5.2-pro on channel openai-main refused: max_tokens at 10:30, see api_docs';
  assert.equal(redact(text), text);
});

test('a line is one JSON object, bounded, without what has no value', () => {
  const lines: string[] = [];
  const write = (line: string): void => void lines.push(line);
  const log = createLog({ level: 'warning', now: () => 0, write });
  log('info', 'not.seen');
  log('error', 'seen', { long: 'x'.repeat(10_000), text: 'a\nb', nothing: undefined, count: 1 });
  assert.equal(lines.length, 1);
  const [line = ''] = lines;
  assert.ok(line.endsWith('\n') && line.length < 700);
  assert.equal(line.trimEnd().includes('\n'), false);
  assert.match(line, /"time":"1970-01-01T00:00:00.000Z","level":"error","event":"seen"/);
  assert.doesNotMatch(line, /nothing/);
});
