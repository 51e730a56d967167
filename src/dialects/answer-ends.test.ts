/** What a vendor says at the end of its answer, told to clients of other dialects: in their words, or as a loss. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explode, type ChatResponse } from '#canonical';
import { asObject, asObjects, type JsonObject } from '#std';
import { anthropicMessages } from './anthropic-messages/index.ts';
import { geminiGenerate } from './gemini-generate/index.ts';
import { openaiChat } from './openai-chat/index.ts';
import { openaiResponses } from './openai-responses/index.ts';
import { emptyRequest } from '../../test/support/requests.ts';

const others = [openaiChat, openaiResponses, geminiGenerate];

/** Whole, and the last event of the stream that says the same. */
function told(
  dialect: (typeof others)[number],
  answer: ChatResponse,
): readonly { readonly text: string; readonly lost: readonly string[] }[] {
  const whole = dialect.response.encode(answer, emptyRequest);
  const streamed: string[] = [];
  const form = { framing: 'sse' } as const;
  const encoder = dialect.stream.encoder(emptyRequest, form, (path) => streamed.push(path));
  const text = [...explode(answer)].map((event) => encoder.push(event)).join('');
  const lost = whole.losses.map(({ path }) => path);
  return [
    { text: JSON.stringify(whole.value), lost },
    { text, lost: streamed },
  ];
}

function refused(content: readonly JsonObject[]): ChatResponse {
  return anthropicMessages.response.decode(
    {
      id: 'msg_1',
      type: 'message',
      model: 'm',
      content,
      container: { id: 'box' },
      stop_reason: 'refusal',
      stop_details: { type: 'refusal', category: 'cyber', explanation: 'It is not allowed.' },
    },
    {},
  );
}

test('a refusal without words of its own is no complete answer of the Responses API', () => {
  for (const content of [[], [{ type: 'text', text: 'Part of' }]]) {
    const { value } = openaiResponses.response.encode(refused(content), emptyRequest);
    assert.equal(value['status'], 'incomplete');
    assert.deepEqual(value['incomplete_details'], { reason: 'content_filter' });
    assert.match(told(openaiResponses, refused(content))[1]?.text ?? '', /response\.incomplete/);
  }
  const inWords: ChatResponse = {
    ...refused([]),
    choices: [
      {
        index: 0,
        parts: [{ kind: 'refusal', text: 'No.' }],
        finish: { reason: 'refusal', raw: '' },
      },
    ],
  };
  const { value } = openaiResponses.response.encode(inWords, emptyRequest);
  assert.equal(value['status'], 'completed');
});

test('what only its vendor says of an answer and its end is a loss, whole and streamed', () => {
  for (const dialect of others)
    for (const { lost } of told(dialect, refused([])))
      assert.ok(lost.some((path) => path.endsWith('category')) && lost.includes('container'));
  const called = refused([
    { type: 'tool_use', id: 'a', name: 'f', input: {}, caller: { type: 'direct' } },
  ]);
  for (const { lost } of told(openaiChat, called))
    assert.ok(lost.some((path) => path.endsWith('caller')));
});

test('why an answer was refused stands in the field that Gemini has for it', () => {
  const { value } = geminiGenerate.response.encode(refused([]), emptyRequest);
  const [candidate] = asObjects(value['candidates']);
  assert.equal(asObject(candidate)?.['finishMessage'], 'It is not allowed.');
  for (const { text, lost } of told(geminiGenerate, refused([]))) {
    assert.match(text, /"finishMessage":"It is not allowed\."/);
    assert.ok(!lost.includes('explanation'));
  }
});
