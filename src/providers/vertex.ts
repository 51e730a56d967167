import { createSign } from 'node:crypto';
import { asNumber, asString, parseJsonObject } from '#std';
import {
  bearer,
  type AuthorizeTools,
  type Call,
  type Credential,
  type OutboundRequest,
  type Provider,
} from './provider.ts';

const tokenUrl = 'https://oauth2.googleapis.com/token';
const scope = 'https://www.googleapis.com/auth/cloud-platform';
/** Tokens live an hour; a new one is fetched when less than this is left. */
const renewBeforeMs = 5 * 60_000;

/** The location `global` has a host without a region in its name; the newest models are only there. */
function place({ parameters }: Call, publisher: string): string {
  const { project = '', location = '' } = parameters;
  const host = location === 'global' ? 'https://aiplatform.googleapis.com/v1' : '';
  return `${host}/projects/${project}/locations/${location}/publishers/${publisher}/models/`;
}

const isClaude = (model: string): boolean => model.startsWith('claude');

/** Google's service-account flow (RFC 7523): a signed assertion is traded for an access token. */
async function authorize(
  request: OutboundRequest,
  credential: Credential,
  tools: AuthorizeTools,
): Promise<OutboundRequest> {
  if (!credential.secret.trimStart().startsWith('{')) return bearer(request, credential);
  const { nowMs, monotonicMs } = tools;
  const account = parseJsonObject(credential.secret) ?? {};
  const email = asString(account['client_email']) ?? '';
  const known = tools.cache.get(`vertex ${email}`);
  // The time of day may be set back, and the other clock does not see how long a machine slept.
  const leftMs =
    known && Math.min(known.expiresAtMs - nowMs, known.expiresAtMonotonicMs - monotonicMs);
  if (known && leftMs !== undefined && leftMs > renewBeforeMs)
    return bearer(request, { ...credential, secret: known.value });
  const answer = await tools.fetchJson({
    url: tokenUrl,
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: [
      Buffer.from(
        new URLSearchParams({
          grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
          assertion: assertion(email, asString(account['private_key']) ?? '', nowMs),
        }).toString(),
      ),
    ],
  });
  const token = parseJsonObject(answer.body);
  const value = asString(token?.['access_token']);
  if (answer.status !== 200 || value === undefined)
    throw new Error(`no access token for the service account (status ${answer.status})`);
  const lifeMs = (asNumber(token?.['expires_in']) ?? 3600) * 1000;
  tools.cache.set(`vertex ${email}`, {
    value,
    expiresAtMs: nowMs + lifeMs,
    expiresAtMonotonicMs: monotonicMs + lifeMs,
  });
  return bearer(request, { ...credential, secret: value });
}

function assertion(email: string, privateKey: string, nowMs: number): string {
  const issuedAt = Math.floor(nowMs / 1000);
  const encode = (value: object): string =>
    Buffer.from(JSON.stringify(value)).toString('base64url');
  const unsigned = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode({ iss: email, scope, aud: tokenUrl, iat: issuedAt, exp: issuedAt + 3600 })}`;
  return `${unsigned}.${createSign('RSA-SHA256').update(unsigned).sign(privateKey, 'base64url')}`;
}

/** Gemini and Claude on Google Cloud. The secret is a service-account JSON or an access token. */
export default {
  id: 'vertex',
  label: 'Google Vertex AI',
  docs: 'https://cloud.google.com/vertex-ai/generative-ai/docs',
  baseUrl: 'https://{location}-aiplatform.googleapis.com/v1',
  parameters: {
    project: { meaning: 'the Google Cloud project', environment: 'GOOGLE_CLOUD_PROJECT' },
    location: {
      meaning: 'the region, or `global`',
      fallback: 'global',
      environment: 'GOOGLE_CLOUD_LOCATION',
    },
  },
  environment: ['VERTEX_CREDENTIALS'],
  speaks: [
    {
      operation: 'chat',
      dialect: 'gemini-generate',
      quirks: { displayNames: true },
      models: (model) => !isClaude(model),
      path: (call) =>
        `${place(call, 'google')}${encodeURIComponent(call.model)}:${call.stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
    },
    {
      operation: 'chat',
      dialect: 'anthropic-messages',
      models: isClaude,
      quirks: { modelInBody: false, bodyVersion: 'vertex-2023-10-16', fetchesUrls: false },
      path: (call) =>
        `${place(call, 'anthropic')}${encodeURIComponent(call.model)}:${call.stream ? 'streamRawPredict' : 'rawPredict'}`,
    },
    {
      operation: 'count-tokens',
      dialect: 'gemini-generate',
      models: (model) => !isClaude(model),
      path: (call) => `${place(call, 'google')}${encodeURIComponent(call.model)}:countTokens`,
    },
  ],
  authorize,
  facts: { abortStopsBilling: 'no', rateLimits: 'retry-after-only', fetchesUrls: false },
} satisfies Provider;
