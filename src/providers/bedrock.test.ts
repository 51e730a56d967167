import assert from 'node:assert/strict';
import { test } from 'node:test';
import bedrock from './bedrock.ts';
import type { OutboundRequest } from './provider.ts';

const request: OutboundRequest = {
  method: 'POST',
  url: 'https://bedrock-runtime.eu-central-1.amazonaws.com/model/anthropic.claude-3-5-sonnet-20240620-v1%3A0/invoke?b=2&a=x%20y&B=1&a-b=~',
  headers: { 'content-type': 'application/json' },
  body: [Buffer.from('{"x":'), Buffer.from('"ä"}')],
};
const keys = 'AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';

function signed(secret: string): Readonly<Record<string, string>> {
  const parameters = { region: 'eu-central-1' };
  const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5);
  const tools = {
    nowMs,
    monotonicMs: 0,
    fetchJson: () => Promise.reject(new Error('unused')),
    cache: new Map(),
  };
  return bedrock.authorize(request, { secret, parameters }, tools).headers;
}

/** The signatures are those of botocore 1.x for the same request at the same moment. */
test('a request is signed as the library of the vendor signs it', () => {
  assert.equal(
    signed(keys)['authorization'],
    'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-central-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=610051db6dc187f83e4fe66a6359b6396f4e5a2124978db8546a91812ade6f87',
  );
  const withSession = signed(`${keys}:session`);
  assert.equal(withSession['x-amz-security-token'], 'session');
  assert.match(
    withSession['authorization'] ?? '',
    /Signature=15a0534b14556cbc39ef7e7341655133aaf0cdf13e4e2d7c16e5160d567a2ae2$/,
  );
});

test('an API key goes out as it is', () => {
  assert.equal(signed('a-key-without-a-colon')['authorization'], 'Bearer a-key-without-a-colon');
});
