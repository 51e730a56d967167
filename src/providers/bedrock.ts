import { createHash, createHmac } from 'node:crypto';
import { createAwsChunkParser } from './aws-chunks.ts';
import {
  bearer,
  compatible,
  openaiChat,
  type AuthorizeTools,
  type Credential,
  type OutboundRequest,
  type Provider,
} from './provider.ts';

const service = 'bedrock';
const isClaude = (model: string): boolean => model.includes('anthropic.');

/** An API key goes out as Bearer; `ACCESS:SECRET[:SESSION]` signs the request (AWS Signature Version 4). */
function authorize(
  request: OutboundRequest,
  credential: Credential,
  tools: AuthorizeTools,
): OutboundRequest {
  const [accessKey = '', secretKey, sessionToken] = credential.secret.split(':');
  if (secretKey === undefined) return bearer(request, credential);
  return sign(
    request,
    { accessKey, secretKey, sessionToken, region: credential.parameters['region'] ?? '' },
    tools.nowMs,
  );
}

type Keys = {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly sessionToken: string | undefined;
  readonly region: string;
};

function sign(request: OutboundRequest, keys: Keys, nowMs: number): OutboundRequest {
  const time = new Date(nowMs).toISOString().replace(/[-:]|\.\d{3}/g, '');
  const day = time.slice(0, 8);
  const url = new URL(request.url);
  const headers: Record<string, string> = {
    ...request.headers,
    'x-amz-date': time,
    ...(keys.sessionToken === undefined ? {} : { 'x-amz-security-token': keys.sessionToken }),
  };
  const signed: Record<string, string> = { ...headers, host: url.host };
  const names = Object.keys(signed)
    .map((name) => name.toLowerCase())
    .sort();
  const canonical = [
    request.method,
    // Each segment is encoded once more for the signature, as the specification asks of all services but S3.
    url.pathname.split('/').map(encodeSegment).join('/'),
    canonicalQuery(url.searchParams),
    ...names.map((name) => `${name}:${(signed[name] ?? '').trim()}`),
    '',
    names.join(';'),
    sha256(...request.body),
  ].join('\n');
  const scope = `${day}/${keys.region}/${service}/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n');
  const key = [day, keys.region, service, 'aws4_request'].reduce<string | Buffer>(
    (secret, part) => hmac(secret, part),
    `AWS4${keys.secretKey}`,
  );
  const signature = createHmac('sha256', key).update(text).digest('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=${keys.accessKey}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return { ...request, headers: { ...headers, authorization } };
}

/** Sorted by encoded name, then value; a space stands before everything that an encoded text holds. */
function canonicalQuery(query: URLSearchParams): string {
  const pairs = [...query].map(([name, value]) => `${encodeSegment(name)} ${encodeSegment(value)}`);
  return pairs
    .sort()
    .map((pair) => pair.replace(' ', '='))
    .join('&');
}

function encodeSegment(segment: string): string {
  return encodeURIComponent(segment).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(...pieces: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

/** Claude by InvokeModel, everything else by the OpenAI-compatible endpoint of the same host. */
export default {
  id: 'bedrock',
  label: 'Amazon Bedrock',
  docs: 'https://docs.aws.amazon.com/bedrock/latest/APIReference',
  baseUrl: 'https://bedrock-runtime.{region}.amazonaws.com',
  parameters: {
    region: { meaning: 'the AWS region', fallback: 'us-east-1', environment: 'AWS_REGION' },
  },
  environment: ['AWS_BEARER_TOKEN_BEDROCK', 'BEDROCK_CREDENTIALS'],
  speaks: [
    {
      operation: 'chat',
      dialect: 'anthropic-messages',
      models: isClaude,
      framing: 'aws-event-stream',
      parser: createAwsChunkParser,
      quirks: {
        modelInBody: false,
        streamInBody: false,
        bodyVersion: 'bedrock-2023-05-31',
        fetchesUrls: false,
      },
      path: (call) =>
        `/model/${encodeURIComponent(call.model)}/${call.stream ? 'invoke-with-response-stream' : 'invoke'}`,
    },
    {
      ...openaiChat(compatible, '/openai/v1/chat/completions'),
      models: (model) => !isClaude(model),
    },
  ],
  authorize,
  facts: { abortStopsBilling: 'no', rateLimits: 'retry-after-only', fetchesUrls: false },
} satisfies Provider;
