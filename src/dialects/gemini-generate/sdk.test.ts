/** What Google's official SDK sends is read as its user meant it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  FunctionCallingConfigMode,
  GoogleGenAI,
  HarmBlockThreshold,
  HarmCategory,
  ThinkingLevel,
  Type,
} from '@google/genai';
import { parseJsonObject, type JsonObject } from '#std';
import { geminiEmbed } from '../gemini-embed/index.ts';
import { geminiGenerate } from './index.ts';

type Sent = { readonly path: string; readonly body: JsonObject };

/** A client whose requests end here, answered with `answer`. */
function clientOf(sent: Sent[], answer: JsonObject, vertex: boolean): GoogleGenAI {
  const fetch = (url: unknown, init?: RequestInit): Promise<Response> => {
    const body = parseJsonObject(typeof init?.body === 'string' ? init.body : '') ?? {};
    sent.push({ path: new URL(String(url)).pathname, body });
    return Promise.resolve(Response.json(answer));
  };
  const httpOptions = { baseUrl: 'http://127.0.0.1', fetch };
  return vertex
    ? new GoogleGenAI({ enterprise: true, apiKey: 'unused', httpOptions })
    : new GoogleGenAI({ apiKey: 'unused', httpOptions });
}

const answer = {
  candidates: [{ content: { role: 'model', parts: [{ text: 'a' }] }, finishReason: 'STOP' }],
};

for (const vertex of [false, true]) {
  test(`a rich request of the SDK is read whole (${vertex ? 'Vertex' : 'Gemini API'})`, async () => {
    const sent: Sent[] = [];
    await clientOf(sent, answer, vertex).models.generateContent({
      model: 'gemini-x',
      contents: [
        {
          role: 'user',
          parts: [{ text: 'q' }, { inlineData: { mimeType: 'image/png', data: 'AA==' } }],
        },
        {
          role: 'model',
          parts: [
            { functionCall: { id: 'c1', name: 'f', args: { a: 1 } }, thoughtSignature: 'c2ln' },
          ],
        },
        {
          role: 'user',
          parts: [{ functionResponse: { id: 'c1', name: 'f', response: { output: 'x' } } }],
        },
      ],
      config: {
        systemInstruction: 'be brief',
        temperature: 0.5,
        topK: 4,
        maxOutputTokens: 50,
        stopSequences: ['.'],
        seed: 7,
        responseMimeType: 'application/json',
        responseSchema: {
          type: Type.OBJECT,
          properties: { n: { type: Type.INTEGER, nullable: true } },
        },
        thinkingConfig: { includeThoughts: true, thinkingLevel: ThinkingLevel.LOW },
        safetySettings: [
          {
            category: HarmCategory.HARM_CATEGORY_HATE_SPEECH,
            threshold: HarmBlockThreshold.BLOCK_NONE,
          },
        ],
        tools: [
          {
            functionDeclarations: [
              {
                name: 'f',
                parametersJsonSchema: { type: 'object', properties: { a: { const: 1 } } },
              },
            ],
          },
          { googleSearch: {} },
        ],
        toolConfig: {
          functionCallingConfig: {
            mode: FunctionCallingConfigMode.ANY,
            allowedFunctionNames: ['f'],
          },
        },
      },
    });
    const [{ path, body } = { path: '', body: {} }] = sent;
    assert.ok(path.endsWith('models/gemini-x:generateContent'), path);
    const request = geminiGenerate.request.decode(body, { model: 'gemini-x' });
    assert.deepEqual(
      request.messages.map(({ role, parts }) => [role, ...parts.map(({ kind }) => kind)]),
      [
        ['system', 'text'],
        ['user', 'text', 'media'],
        ['assistant', 'tool-call'],
        ['tool', 'tool-result'],
      ],
    );
    assert.equal(request.messages[2]?.parts[0]?.state?.value, 'c2ln');
    assert.deepEqual(
      [request.temperature, request.topK, request.outputTokensMax, request.stop, request.seed],
      [0.5, 4, 50, ['.'], 7],
    );
    assert.deepEqual(request.reasoning, { effort: 'low', summary: 'auto' });
    assert.deepEqual(request.toolChoice, { kind: 'tool', name: 'f' });
    assert.deepEqual(
      request.tools.map(({ kind }) => kind),
      ['function', 'web-search'],
    );
    assert.deepEqual(request.responseFormat, {
      kind: 'json-schema',
      schema: { type: 'object', properties: { n: { type: ['integer', 'null'] } } },
      schemaForm: 'openapi-subset',
    });
    assert.ok(request.extensions['safetySettings']);
    assert.deepEqual(geminiGenerate.request.encode(request, {}).losses, []);
  });
}

test('counting and embedding of the SDK are read', async () => {
  const sent: Sent[] = [];
  const counting = clientOf(sent, { totalTokens: 3 }, false);
  const { totalTokens } = await counting.models.countTokens({ model: 'm', contents: 'q' });
  const embedding = clientOf(sent, { embeddings: [{ values: [1] }, { values: [2] }] }, false);
  const { embeddings } = await embedding.models.embedContent({
    model: 'm',
    contents: ['a', 'b'],
    config: { outputDimensionality: 8, taskType: 'RETRIEVAL_QUERY' },
  });
  assert.equal(totalTokens, 3);
  assert.equal(embeddings?.length, 2);
  const [count, embed] = sent;
  assert.equal(geminiGenerate.request.decode(count?.body ?? {}, { model: 'm' }).messages.length, 1);
  const read = geminiEmbed.request.decode(embed?.body ?? {}, { model: 'm' });
  assert.deepEqual(
    [read.inputs, read.dimensions, read.taskType, read.batched],
    [['a', 'b'], 8, 'RETRIEVAL_QUERY', true],
  );
});
