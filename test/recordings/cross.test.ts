/**
 * Every recorded answer, written in every client dialect and read by that dialect's official SDK:
 * text, tool calls, finish and usage are those of the recording. Streams stay streams.
 */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { GatewayFailure } from '#canonical';
import type { Dialect } from '#dialects';
import { clientDialects, readWithSdk, type ClientDialect } from './cross-sdk.ts';
import {
  decodeRecorded,
  dialectOf,
  dialectsById,
  differences,
  kinds,
  writeFor,
  type Decoded,
} from './cross.ts';
import { listCases, type RecordingCase } from './load.ts';

const count = { checked: 0, errors: 0, failed: 0, unreadable: 0 };

after(() => {
  process.stdout.write(
    `# cross-dialect: ${count.checked} (answer x dialect) read by official SDKs, ${count.errors} recorded errors told, ${count.failed} failed, ${count.unreadable} recordings that are no answer\n`,
  );
});

/** The answer of a recording, or `undefined` when its own dialect refuses it (a whole answer that is an error). */
function decode(recorded: RecordingCase, dialect: Dialect): Decoded | undefined {
  try {
    return decodeRecorded(recorded, dialect);
  } catch (error) {
    if (!(error instanceof GatewayFailure)) throw error;
    count.unreadable += 1;
    return undefined;
  }
}

/** What went wrong with one answer in one dialect; empty when all is well. */
async function check(target: ClientDialect, decoded: Decoded): Promise<readonly string[]> {
  const { body } = writeFor(dialectsById[target], decoded);
  if (decoded.kind === 'error') {
    count.errors += 1;
    const reading = await readWithSdk(target, body, true).catch(() => undefined);
    return reading && reading.finish !== 'failed' ? ['the error of the stream was not told'] : [];
  }
  count.checked += 1;
  try {
    return differences(
      target,
      decoded.response,
      await readWithSdk(target, body, decoded.kind === 'stream'),
    );
  } catch (error) {
    return [
      `the SDK refuses it: ${error instanceof Error ? error.message.slice(0, 300) : 'unknown'}`,
    ];
  }
}

test('the comparison notices each kind of difference', async () => {
  const { response } = geminiAnswer('it', 3);
  const body = writeFor(dialectsById['openai-chat'], { kind: 'plain', response }).body;
  const reading = await readWithSdk('openai-chat', body, false);
  assert.deepEqual(differences('openai-chat', response, reading), []);
  const others = [
    geminiAnswer('that', 3),
    geminiAnswer('it', 4),
    geminiAnswer('it', 3, 'MAX_TOKENS'),
    geminiAnswer('it', 3, 'STOP', 'g'),
  ];
  assert.deepEqual(
    others.map((other) => differences('openai-chat', other.response, reading).length),
    [1, 1, 2, 1],
  );
});

function geminiAnswer(
  text: string,
  promptTokenCount: number,
  finishReason = 'STOP',
  name = 'f',
): Extract<Decoded, { kind: 'plain' }> {
  const parts = [
    { text },
    ...(finishReason === 'STOP' ? [{ functionCall: { name, args: { a: 1 } } }] : []),
  ];
  const wire = {
    candidates: [{ content: { parts }, finishReason }],
    usageMetadata: { promptTokenCount, candidatesTokenCount: 1 },
  };
  return { kind: 'plain', response: dialectsById['gemini-generate'].response.decode(wire, {}) };
}

for (const kind of kinds) {
  const source = dialectOf(kind);
  const cases = [...listCases({ kinds: [kind] })].filter(({ meta }) => meta.status < 400);
  for (const target of clientDialects) {
    if (!source || cases.length === 0) continue;
    test(`${cases.length} recorded answers of kind ${kind} read as meant by the SDK of ${target}`, async () => {
      const failures: string[] = [];
      for (const recorded of cases) {
        const decoded = decode(recorded, source);
        if (!decoded) continue;
        for (const difference of await check(target, decoded))
          failures.push(`${recorded.name}: ${difference}`);
      }
      count.failed += failures.length;
      assert.deepEqual(failures, []);
    });
  }
}
