import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { inputTotalTokens } from '#canonical';
import { openaiEmbeddings } from '#dialects';
import {
  asArray,
  asCount,
  asObject,
  asObjects,
  parseJsonObject,
  ReadError,
  type JsonObject,
} from '#std';
import { listCases, type RecordingCase } from './load.ts';
import { createRecordingTable } from './table.ts';

const table = createRecordingTable();
after(() => process.stdout.write(`\n${table.text()}\n\n`));

for (const recorded of listCases({ kinds: ['embeddings'] })) {
  if (recorded.meta.provider.startsWith('google')) continue;
  test(`${recorded.name} is read as it was meant`, () => {
    let problem: string | undefined;
    try {
      checkCase(recorded);
    } catch (error) {
      problem = (error as Error).message;
      throw error;
    } finally {
      table.record(recorded.meta.provider, 'embeddings', problem === undefined ? [] : [problem]);
    }
  });
}

function checkCase(recorded: RecordingCase): void {
  const { meta, request, responseBytes } = recorded;
  assert.ok(request);
  if (meta.status >= 400) return checkRefused(recorded, request);
  const decoded = openaiEmbeddings.request.decode(request, {});
  const { value, losses } = openaiEmbeddings.request.encode(decoded, {});
  assert.deepEqual(losses, []);
  const { encoding_format: format, ...rest } = request;
  assert.deepEqual(value, format === 'base64' ? request : rest);

  const wire = parseJsonObject(responseBytes.toString('utf8')) ?? {};
  const expected = (meta.expected ?? {}) as JsonObject;
  const response = openaiEmbeddings.response.decode(wire, decoded);
  assert.equal(response.vectors.length, expected['n_embeddings']);
  assert.equal(
    inputTotalTokens(response.usage ?? {}),
    asCount(asObject(wire['usage'])?.['prompt_tokens']),
  );

  const floats = openaiEmbeddings.response.encode(response, { ...decoded, encoding: 'float' });
  const texts = openaiEmbeddings.response.encode(
    openaiEmbeddings.response.decode(floats, decoded),
    { ...decoded, encoding: 'base64' },
  );
  const back = openaiEmbeddings.response.encode(openaiEmbeddings.response.decode(texts, decoded), {
    ...decoded,
    encoding: 'float',
  });
  for (const [index, entry] of asObjects(floats['data']).entries()) {
    const first = asArray(entry['embedding']) ?? [];
    const second = asArray(asObjects(back['data'])[index]?.['embedding']) ?? [];
    const quantised = meta.provider === 'perplexity';
    assert.equal(first.length, quantised ? 1024 : expected['dimensions']);
    assert.deepEqual(
      first.map((component) => Math.fround(component as number)),
      second,
    );
  }
}

function checkRefused(recorded: RecordingCase, request: JsonObject): void {
  try {
    openaiEmbeddings.request.decode(request, {});
  } catch (error) {
    assert.ok(error instanceof ReadError);
  }
  assert.ok(recorded.responseBytes.length > 0);
}
