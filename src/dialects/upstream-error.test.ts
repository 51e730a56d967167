import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cleanMessage, decodeUpstreamError } from './upstream-error.ts';

type Case = readonly [
  what: string,
  status: number,
  body: unknown,
  kind: string,
  clientStatus: number,
];

const cases: readonly Case[] = [
  [
    'a bad request of OpenAI',
    400,
    {
      error: {
        message: 'Unknown parameter: x',
        type: 'invalid_request_error',
        param: 'x',
        code: 'unknown_parameter',
      },
    },
    'request',
    400,
  ],
  [
    'a request that Google gave up itself',
    499,
    { error: { code: 499, message: 'The operation was cancelled.', status: 'CANCELLED' } },
    'server',
    502,
  ],
  [
    'an overlong prompt at OpenAI',
    400,
    { error: { message: 'too long', code: 'context_length_exceeded' } },
    'context-length',
    400,
  ],
  [
    'an overlong prompt at Anthropic',
    400,
    {
      type: 'error',
      error: {
        type: 'invalid_request_error',
        message: 'prompt is too long: 210000 tokens > 200000 maximum',
      },
    },
    'context-length',
    400,
  ],
  [
    'an overlong prompt at xAI',
    400,
    {
      code: 'invalid-argument',
      error: "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    },
    'context-length',
    400,
  ],
  [
    'an overlong prompt at Moonshot',
    400,
    { error: { message: 'Invalid request: Your request exceeded model token limit: 8192' } },
    'context-length',
    400,
  ],
  [
    'an overlong prompt at Z.ai',
    400,
    { error: { code: '1261', message: 'Prompt exceeds max length' } },
    'context-length',
    400,
  ],
  [
    'an overlong prompt at Cohere',
    400,
    {
      message:
        'too many tokens: total number of tokens in the prompt cannot exceed 128000 - received 130000.',
    },
    'context-length',
    400,
  ],
  [
    'an overlong prompt at Together',
    400,
    {
      error: {
        message: 'Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193.',
      },
    },
    'context-length',
    400,
  ],
  [
    'a model that Bedrock does not know',
    400,
    { message: 'The provided model identifier is invalid.' },
    'model-missing',
    404,
  ],
  [
    'an overlong prompt at Gemini',
    400,
    {
      error: {
        code: 400,
        message:
          'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).',
        status: 'INVALID_ARGUMENT',
      },
    },
    'context-length',
    400,
  ],
  [
    'an overlong prompt at DeepSeek',
    400,
    {
      error: {
        message:
          "This model's maximum context length is 131072 tokens. However, you requested 200000 tokens.",
        code: 'invalid_request_error',
      },
    },
    'context-length',
    400,
  ],
  [
    'an overlong prompt at Perplexity',
    400,
    { error: { message: 'Too many tokens', type: 'too_many_prompt_tokens', code: 400 } },
    'context-length',
    400,
  ],
  [
    'an overlong prompt at Ollama',
    400,
    {
      error: {
        message: 'prompt too long; exceeded max context length by 12 tokens',
        type: 'invalid_request_error',
      },
    },
    'context-length',
    400,
  ],
  [
    'an overlong prompt answered with 429',
    429,
    {
      error: {
        message: 'Input exceeds the context window of this model',
        code: 'RateLimitReached',
      },
    },
    'context-length',
    400,
  ],
  [
    'tokens per minute, although a prompt is named',
    429,
    {
      error: {
        message: 'Request too large for model x on tokens per minute (TPM): limit 6000',
        code: 'rate_limit_exceeded',
      },
    },
    'rate-limited',
    429,
  ],
  [
    'a bad key at OpenAI',
    401,
    { error: { message: 'Incorrect API key provided: sk-abc***xyz', code: 'invalid_api_key' } },
    'credential',
    502,
  ],
  [
    'a bad key at xAI, status 400',
    400,
    { code: 'invalid-argument', error: 'Incorrect API key provided: xa***AB.' },
    'credential',
    502,
  ],
  [
    'a bad key at Gemini, status 400',
    400,
    {
      error: {
        code: 400,
        message: 'API key not valid.',
        status: 'INVALID_ARGUMENT',
        details: [{ reason: 'API_KEY_INVALID' }],
      },
    },
    'credential',
    502,
  ],
  ['a bad key at Mistral', 401, { detail: 'Invalid API Key' }, 'credential', 502],
  [
    'a forbidden region',
    403,
    { error: { message: 'Country not supported', type: 'request_forbidden' } },
    'credential',
    502,
  ],
  [
    'no balance at DeepSeek',
    402,
    { error: { message: 'Insufficient Balance', type: 'unknown_error' } },
    'quota-exhausted',
    503,
  ],
  [
    'used-up quota at OpenAI, status 429',
    429,
    {
      error: {
        message: 'You exceeded your current quota, please check your plan and billing details.',
        code: 'insufficient_quota',
      },
    },
    'quota-exhausted',
    503,
  ],
  [
    'no credit at Anthropic, status 400',
    400,
    {
      type: 'error',
      error: {
        type: 'invalid_request_error',
        message: 'Your credit balance is too low to access the Anthropic API.',
      },
    },
    'quota-exhausted',
    503,
  ],
  [
    'a rate limit',
    429,
    { error: { message: 'Rate limit reached', code: 'rate_limit_exceeded' } },
    'rate-limited',
    429,
  ],
  [
    'an overloaded Anthropic',
    529,
    { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
    'overloaded',
    503,
  ],
  [
    'an unavailable Gemini',
    503,
    [{ error: { code: 503, message: 'The model is overloaded.', status: 'UNAVAILABLE' } }],
    'overloaded',
    503,
  ],
  [
    'a missing model',
    404,
    { error: { message: 'The model `x` does not exist', code: 'model_not_found' } },
    'model-missing',
    404,
  ],
  [
    'a missing deployment at Azure',
    404,
    {
      error: {
        code: 'DeploymentNotFound',
        message: 'The API deployment for this resource does not exist.',
      },
    },
    'model-missing',
    404,
  ],
  [
    'a content filter at Azure',
    400,
    {
      error: {
        code: 'content_filter',
        message: 'The response was filtered',
        innererror: { code: 'ResponsibleAIPolicyViolation' },
      },
    },
    'content-filter',
    400,
  ],
  [
    'fields at fault as Mistral lists them',
    422,
    { detail: [{ loc: ['body', 'messages'], msg: 'field required' }] },
    'request',
    422,
  ],
  ['a body too large', 413, 'Request Entity Too Large', 'request', 413],
  [
    'a failed tool call at Groq',
    400,
    {
      error: {
        message: 'Failed to call a function',
        code: 'tool_use_failed',
        failed_generation: 'x',
      },
    },
    'request',
    400,
  ],
  ['a server error', 500, { error: { message: 'The server had an error' } }, 'server', 502],
  ['a page instead of JSON', 502, '<html><body>Bad gateway</body></html>', 'server', 502],
  ['nothing at all', 500, '', 'server', 502],
];

for (const [what, status, body, kind, clientStatus] of cases) {
  test(`${what} is ${kind}`, () => {
    const error = decodeUpstreamError(
      status,
      typeof body === 'string' ? body : JSON.stringify(body),
    );
    assert.equal(error.upstream?.kind, kind);
    assert.equal(error.status, clientStatus);
    assert.equal(error.upstream?.status, status);
    assert.notEqual(error.message, '');
    assert.doesNotMatch(error.message, /sk-abc|<html/);
  });
}

test('the delay that the body asks for is read', () => {
  const gemini = {
    error: {
      code: 429,
      message: 'x',
      status: 'RESOURCE_EXHAUSTED',
      details: [{ '@type': 'RetryInfo', retryDelay: '34.07s' }],
    },
  };
  assert.equal(decodeUpstreamError(429, JSON.stringify([gemini])).retryAfterMs, 34_070);
  const groq = {
    error: {
      message: 'Rate limit reached. Please try again in 2m7.5s.',
      code: 'rate_limit_exceeded',
    },
  };
  assert.equal(decodeUpstreamError(429, JSON.stringify(groq)).retryAfterMs, 127_500);
  const openai = {
    error: {
      message: 'Rate limit reached. Please try again in 340ms.',
      code: 'rate_limit_exceeded',
    },
  };
  assert.equal(decodeUpstreamError(429, JSON.stringify(openai)).retryAfterMs, 340);
});

test('an error inside a stream takes its status from the body', () => {
  const error = decodeUpstreamError(
    200,
    JSON.stringify({
      error: {
        message: 'Provider returned error',
        code: 429,
        metadata: { raw: '{"error":{"message":"slow down"}}' },
      },
    }),
  );
  assert.equal(error.upstream?.kind, 'rate-limited');
  assert.equal(error.upstream?.status, 429);
  assert.equal(error.upstream?.message, 'Provider returned error: slow down');
  assert.equal(
    decodeUpstreamError(
      200,
      JSON.stringify({ error: { type: 'overloaded_error', message: 'Overloaded' } }),
    ).upstream?.kind,
    'overloaded',
  );
});

test('keys, ids of accounts and addresses do not reach the client', () => {
  const secrets = [
    'sk-proj-Ab12Cd34Ef56',
    'AIzaSyA1234567890abcdef',
    'org-AbCd1234EfGh',
    'https://internal.example/v1?key=1',
    '10.0.3.17:8080',
    'gsk_abcdef123456',
    'Bearer abc.def.ghi',
    'eyJhbGciOi.eyJzdWIi.c2lnbg',
    'projects/secret-project-12',
  ];
  for (const secret of secrets) {
    const cleaned = cleanMessage(`Refused for ${secret} at once`);
    assert.ok(!cleaned.includes(secret), cleaned);
    assert.match(cleaned, /^Refused for/);
  }
  assert.ok(cleanMessage('x'.repeat(1_000_000)).length < 3_000);
});
