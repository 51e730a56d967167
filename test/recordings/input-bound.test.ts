/**
 * What vendors counted as input of requests with tools beside what a hold covers. They count words of their own too, which
 * no request shows: those that explain tools. Left out is what fetches or looks up more while the answer is made.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inputTotalTokens, type ChatRequest, type Usage } from '#canonical';
import * as dialects from '#dialects';
import type { Dialect } from '#dialects';
import { estimateInputTokens, requestBound } from '#metering';
import { parseJsonObject } from '#std';
import { listCases, sseFrames, type RecordingCase } from './load.ts';

const forms: { readonly [kind: string]: Dialect } = {
  chat: dialects.openaiChat,
  responses: dialects.openaiResponses,
  messages: dialects.anthropicMessages,
  generate: dialects.geminiGenerate,
};

/** Words of fields with which a vendor brings in what the request does not have. */
const bringsMore =
  /web_search|web_fetch|google_search|googleSearch|urlContext|code_execution|code_interpreter|file_search|mcp|computer|image_generation|previous_response|cachedContent|"(?:advisor|memory)_|citations|compound/;

function usageOf(
  { responseBytes, responseForm }: RecordingCase,
  dialect: Dialect,
): Usage | undefined {
  if (responseForm !== 'sse') {
    const wire = parseJsonObject(responseBytes.toString('utf8'));
    return wire && dialect.response.usage(wire, {});
  }
  const decoder = dialect.stream.decoder({});
  const events = sseFrames(responseBytes).flatMap((frame) => decoder.push(frame));
  return [...events, ...decoder.end()].findLast((event) => event.kind === 'usage')?.usage;
}

function requestOf(recorded: RecordingCase, dialect: Dialect): ChatRequest | undefined {
  const { meta, request } = recorded;
  if (meta.status !== 200 || !request || meta.request_base64_elided !== undefined) return undefined;
  if (bringsMore.test(JSON.stringify(request))) return undefined;
  try {
    return dialect.request.decode(request, { model: 'm', stream: meta.stream });
  } catch {
    return undefined;
  }
}

test('the input that vendors counted of requests with tools is within what is held for it, but for one in a hundred', (t) => {
  const short: string[] = [];
  let compared = 0;
  for (const recorded of listCases({ kinds: Object.keys(forms) })) {
    const dialect = forms[recorded.meta.kind];
    const request = dialect && requestOf(recorded, dialect);
    const usage = request && usageOf(recorded, dialect);
    const counted = usage && inputTotalTokens(usage);
    if (!request || !counted || request.tools.length === 0) continue;
    compared += 1;
    const bound = requestBound(request, estimateInputTokens(request));
    if (counted > bound) short.push(`${recorded.name}: ${counted}, held ${bound}`);
  }
  t.diagnostic(`${short.length} of ${compared} short: ${short.join('; ')}`);
  assert.ok(short.length * 100 <= compared, short.join('\n'));
});
