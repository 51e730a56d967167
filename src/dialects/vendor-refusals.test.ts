/** Refusals in the words of vendors that have no word of their own for what went wrong. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openaiChat } from './openai-chat/index.ts';
import { openaiResponses } from './openai-responses/index.ts';
import { decodeUpstreamError } from './upstream-error.ts';
import { emptyRequest } from '../../test/support/requests.ts';

type Case = readonly [what: string, status: number, body: unknown, kind: string];

const noPermission = 'The caller does not have permission to execute the specified operation';

const cases: readonly Case[] = [
  [
    'what xAI found unsafe, with the status of a bad key',
    403,
    {
      code: noPermission,
      error: 'Content violates usage guidelines. Model: m, Failed check: SAFETY_CHECK_TYPE_BIO',
    },
    'content-filter',
  ],
  [
    'what a moderation at OpenRouter flagged, with the status of a bad key',
    403,
    {
      error: {
        code: 403,
        message: 'Input was refused',
        metadata: { reasons: ['violence'], flagged_input: 'x', provider_name: 'p' },
      },
    },
    'content-filter',
  ],
  [
    'risky content at DeepSeek',
    400,
    { error: { message: 'Content Exists Risk', code: 'invalid_request_error' } },
    'content-filter',
  ],
  [
    'sensitive content at Zhipu',
    400,
    { error: { code: '1301', message: '系统检测到输入或生成内容可能包含不安全或敏感内容' } },
    'content-filter',
  ],
  [
    'an inspection at Alibaba in the older spelling',
    400,
    { error: { code: 'DataInspectionFailed', message: 'Output may be inappropriate.' } },
    'content-filter',
  ],
  [
    'sensitive content at Ark',
    400,
    { error: { code: 'InputTextRiskDetection', message: 'The request could not be processed.' } },
    'content-filter',
  ],
  [
    'a team without credits at xAI',
    403,
    { code: noPermission, error: "Your newly created team doesn't have any credits yet." },
    'quota-exhausted',
  ],
  [
    'an account in arrears at Zhipu, status 429',
    429,
    { error: { code: '1113', message: '您的账户已欠费,请充值后重试' } },
    'quota-exhausted',
  ],
  [
    'a free tier that is used up at Alibaba',
    403,
    { error: { code: 'AllocationQuota.FreeTierOnly', message: 'The free tier has ended.' } },
    'quota-exhausted',
  ],
  [
    'no balance at SiliconFlow',
    403,
    { code: 30001, message: 'Sorry, your account balance is insufficient', data: null },
    'quota-exhausted',
  ],
  [
    'a limit that the operator set at Anthropic',
    400,
    {
      type: 'error',
      error: {
        type: 'invalid_request_error',
        message: 'You have reached your specified API usage limits.',
      },
    },
    'quota-exhausted',
  ],
  [
    'a place that Gemini does not serve',
    400,
    {
      error: {
        code: 400,
        message: 'User location is not supported for the API use.',
        status: 'FAILED_PRECONDITION',
      },
    },
    'credential',
  ],
  [
    'a retired model at Groq whose name has a dot',
    400,
    {
      error: {
        message: 'The model `llama-3.2-1b` has been decommissioned and is no longer supported.',
        code: 'model_decommissioned',
      },
    },
    'model-missing',
  ],
  [
    'a missing model at Zhipu',
    400,
    { error: { code: '1211', message: '模型不存在,请检查模型代码' } },
    'model-missing',
  ],
  [
    'a model that was not enabled at Bedrock',
    403,
    { message: "You don't have access to the model with the specified model ID." },
    'model-missing',
  ],
  ['a model that failed at Bedrock', 424, { message: 'The model failed.' }, 'server'],
  [
    'an overlong prompt at SiliconFlow',
    400,
    {
      code: 20015,
      message: 'length of prompt_tokens (68957) must be less than max_seq_len (65536).',
    },
    'context-length',
  ],
  [
    'an overlong prompt at LM Studio',
    400,
    { error: 'However, the model is loaded with context length of only 4096 tokens.' },
    'context-length',
  ],
  [
    'an overlong prompt at Zhipu',
    400,
    { error: { code: '1261', message: 'Prompt 超长' } },
    'context-length',
  ],
  [
    'a file of Gemini that is not there, with the status of a bad key',
    403,
    {
      error: {
        code: 403,
        message: 'You do not have permission to access the File abc or it may not exist.',
        status: 'PERMISSION_DENIED',
      },
    },
    'request',
  ],
  [
    'a cached prompt of Gemini that is not there',
    403,
    {
      error: {
        code: 403,
        message: 'CachedContent not found (or permission denied)',
        status: 'PERMISSION_DENIED',
      },
    },
    'request',
  ],
  [
    'an item of OpenAI that is not there, with the status of a missing model',
    404,
    {
      error: {
        message: "Item with id 'rs_1' not found. Items are not persisted when `store` is false.",
        type: 'invalid_request_error',
        param: 'input',
      },
    },
    'request',
  ],
];

for (const [what, status, body, kind] of cases) {
  test(`${what} is ${kind}`, () => {
    assert.equal(decodeUpstreamError(status, JSON.stringify(body)).upstream?.kind, kind);
  });
}

test('a refusal inside a stream is told by its words where it has no number', () => {
  const kind = (error: object): string | undefined =>
    decodeUpstreamError(200, JSON.stringify({ error })).upstream?.kind;
  assert.equal(
    kind({ code: 'data_inspection_failed', message: 'Output may be inappropriate.' }),
    'content-filter',
  );
  assert.equal(kind({ code: 'insufficient_quota', message: 'No more.' }), 'quota-exhausted');
  assert.equal(kind({ code: 'x', message: 'Broken.' }), 'server');
});

test('a fault of the request keeps the code of its vendor in both dialects of OpenAI', () => {
  const error = { message: 'Not this.', code: 'unsupported_parameter', param: 'x' };
  const decoded = decodeUpstreamError(400, JSON.stringify({ error }));
  for (const dialect of [openaiChat, openaiResponses]) {
    const inner = dialect.error.encode(decoded, 'r').body['error'];
    assert.match(JSON.stringify(inner), /"param":"x","code":"unsupported_parameter"/);
  }
  const encoder = openaiResponses.stream.encoder(
    { ...emptyRequest, dialect: 'openai-responses' },
    { framing: 'sse' },
    () => undefined,
  );
  assert.match(encoder.push({ kind: 'error', error: decoded }), /"code":"unsupported_parameter"/);
});
