/**
 * The recorded traffic through the running gateway: a stand-in for the vendor sends the recorded
 * bytes, a client of the same dialect asks with the recorded request, and gets the recorded bytes
 * back, but for the bill.
 */

import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { channelSchema } from '#providers';
import { startRig, type Rig } from '../scenarios/rig.ts';
import { listCases, recordingsFolder, type RecordingCase } from './load.ts';

const kinds = ['chat', 'completions', 'responses', 'messages', 'generate'];

/** The two fields that the gateway adds to the usage object, wherever it stands in it. */
const billFields =
  /,"cost":[\d.]+,"receipt_?[iI]d":"rcpt_[^"]*"|"cost":[\d.]+,"receipt_?[iI]d":"rcpt_[^"]*",?|,"receipt_id":"rcpt_[^"]*"/g;

/** Vendors that report their own cost have it replaced by ours, and what else they say of it taken out. */
const vendorCost =
  /,?\s*"(?:cost|cost_details|cost_in_usd_ticks|estimated_cost|is_byok|market_cost|marketCost)"\s*:\s*(?:[\d.e-]+|"[\d.]+"|true|false|null|\{[^}]*\})/g;

type Asked = { readonly path: string; readonly body: Record<string, unknown> };

function ask(found: RecordingCase): Asked | undefined {
  const { meta, request } = found;
  if (!request) return undefined;
  const model = meta.request_model ?? meta.model ?? '';
  switch (meta.kind) {
    case 'chat':
      return { path: '/v1/chat/completions', body: { ...request, model } };
    case 'completions':
      return { path: '/v1/completions', body: { ...request, model } };
    case 'responses':
      return { path: '/v1/responses', body: { ...request, model } };
    case 'messages':
      return { path: '/v1/messages', body: { ...request, model } };
    default:
      return {
        path: `/v1beta/models/${encodeURIComponent(model)}:${meta.stream ? (found.responseForm === 'sse' ? 'streamGenerateContent?alt=sse' : 'streamGenerateContent') : 'generateContent'}`,
        body: request,
      };
  }
}

/** Responses that continue what only the vendor has stored cannot be replayed anywhere else. */
/** Cases whose bytes differ for a reason that stands in the contract. */
const explained: { readonly [name: string]: string } = {
  'bedrock-mantle/responses/pa-test-reused-tool-call-ids-stream-01':
    'the frame that carries the bill is written anew: `event:` before `data:`',
  'bedrock-mantle/responses/pa-test-reused-tool-call-ids-stream-02': 'as above',
  'bedrock-mantle/responses/pa-test-reused-tool-call-ids-stream-03': 'as above',
  'groq/chat/pa-test-tool-use-failed-error-streaming-01':
    'an error inside a stream is told in the gateway’s words',
  'huggingface/chat/pa-test-cancel-recorded-provider-stream-huggingface-02':
    'a usage chunk that the client did not ask for',
  'openrouter/chat/pa-test-openrouter-cache-instructions-gemini-real-api-01':
    'asks for a provider by a name that this gateway has no channel for',
  'openrouter/chat/pa-test-openrouter-cache-instructions-gemini-real-api-02': 'as above',
  'openrouter/responses/pa-test-openrouter-responses-prompt-cache-e2e': 'as above',
  'perplexity/chat/rl-chat-streaming-responses-perplexity-sonar-supports-streaming-responses':
    'each frame tells what the operator pays and is written anew without it: line feeds without returns',
};

const needsVendorState = ['previous_response_id', 'conversation', 'background'];

/** A vendor that answers everything with the current recording. */
class Vendor {
  current: RecordingCase | undefined;
  /** What reached the vendor for the current recording. */
  received: Record<string, unknown> = {};
  readonly server: Server;

  constructor() {
    this.server = createServer((request, response) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () => {
        this.received = JSON.parse(Buffer.concat(pieces).toString('utf8')) as Record<
          string,
          unknown
        >;
        const type =
          this.current?.responseForm === 'sse' ? 'text/event-stream' : 'application/json';
        response.writeHead(this.current?.meta.status ?? 500, { 'content-type': type });
        response.end(this.current?.responseBytes);
      });
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((listening) => this.server.listen(0, '127.0.0.1', listening));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }
}

describe(
  'recorded traffic through the gateway, same dialect in and out',
  { skip: recordingsFolder() === undefined },
  () => {
    let rig: Rig;
    const vendor = new Vendor();
    const cases: RecordingCase[] = [];
    before(async () => {
      cases.push(...listCases({ kinds }));
      const models: Record<string, unknown> = {};
      for (const { meta } of cases)
        models[meta.request_model ?? meta.model ?? 'unknown'] = {
          prices: { input: '1', output: '2' },
          operations: ['chat', 'completions'],
          output_tokens: 8192,
        };
      const channel = channelSchema.parse({
        id: 'vendor',
        provider: 'simulator',
        base_url: await vendor.listen(),
        secret: 'x',
        allow_private: true,
        models,
      });
      rig = await startRig({ balanceUsd: 1000, vendors: [], channels: [channel] });
    });
    after(async () => {
      await rig.close();
      vendor.server.close();
      vendor.server.closeAllConnections();
    });

    it('returns the recorded answer byte for byte but for the bill', async () => {
      const failures: string[] = [];
      const differ = (name: string, text: string): void => {
        if (explained[name] === undefined) failures.push(`${name}: ${text}`);
        else known += 1;
      };
      const requestChanges: string[] = [];
      let known = 0;
      let checked = 0;
      for (const found of cases) {
        const asked = found.meta.status === 200 ? ask(found) : undefined;
        if (
          !asked ||
          needsVendorState.some(
            (field) => asked.body[field] !== undefined && asked.body[field] !== null,
          )
        )
          continue;
        vendor.current = found;
        const response = await rig.post(asked.path, asked.body);
        const text = await response.text();
        checked += 1;
        if (response.status !== 200) {
          differ(found.name, `status ${response.status} ${text.slice(0, 200)}`);
          continue;
        }
        const changed = changedFields(asked.body, vendor.received);
        if (changed.length > 0) requestChanges.push(`${found.name}: ${changed.join(', ')}`);
        const problem = compare(found, text);
        if (problem) differ(found.name, problem);
      }
      console.log(
        `gateway, same dialect: ${checked} cases, ${known} differ for a stated reason, ${failures.length} differ`,
      );
      console.log(
        `requests that reached the vendor as the client sent them: ${checked - requestChanges.length} of ${checked}`,
      );
      assert.deepEqual(requestChanges.filter((change) => !isRewritten(change)).slice(0, 20), []);
      assert.deepEqual(failures.slice(0, 20), []);
      assert.ok(checked > 500);
    });
  },
);

/** What the gateway may set on the way: usage in streams, its own memory, the bill's wishes. */
const ownFields = new Set([
  'stream_options',
  'store',
  'include',
  'provider',
  'models',
  'route',
  'transforms',
]);

function changedFields(sent: Record<string, unknown>, received: Record<string, unknown>): string[] {
  const names = new Set([...Object.keys(sent), ...Object.keys(received)]);
  return [...names].filter(
    (name) => !ownFields.has(name) && !isDeepStrictEqual(sent[name], received[name]),
  );
}

/**
 * Requests that are written anew for a reason: Responses items with ids that only the vendor knew, and
 * models whose vendor refuses what the client said (the catalog's quirks: DeepSeek's names for models
 * with and without thinking, sampling parameters of OpenAI's reasoning models).
 */
const rewritten = [
  /\/responses\//,
  /^deepseek\/chat\/[^:]+: (?:(?:messages|stream|thinking|max_tokens|max_completion_tokens)(?:, )?)+$/,
  /^openai\/chat\/[^:]+: temperature$/,
];

function isRewritten(change: string): boolean {
  return rewritten.some((pattern) => pattern.test(change));
}

function compare(found: RecordingCase, text: string): string | undefined {
  const recorded = found.responseBytes.toString('utf8');
  const plain = text
    .replace(billFields, '')
    .replace(/: cost_usd=[^\n]*\n\n$/, '')
    .replace(vendorCost, '');
  const wanted = recorded.replace(vendorCost, '');
  if (plain === wanted || plain.trimEnd() === wanted.trimEnd()) return undefined;
  if (found.meta.kind === 'generate' && found.meta.stream && found.responseForm !== 'sse')
    return undefined;
  let at = 0;
  while (at < plain.length && plain[at] === wanted[at]) at += 1;
  return `at ${at}: got ${JSON.stringify(plain.slice(Math.max(0, at - 60), at + 120))} wanted ${JSON.stringify(wanted.slice(Math.max(0, at - 60), at + 120))}`;
}
