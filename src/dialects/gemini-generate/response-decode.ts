import {
  GatewayFailure,
  gatewayError,
  type ChatResponse,
  type Choice,
  type Part,
} from '#canonical';
import {
  asArray,
  asCount,
  asObject,
  asObjects,
  asString,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import { decodeUpstreamErrorValue } from '../upstream-error.ts';
import { namedCall } from './contents-decode.ts';
import { enumName, geminiId } from './fields.ts';
import { blockNames, decodeFinish, finishNames, finishWord } from './finish.ts';
import { citationsOf, type CitableText } from './grounding.ts';
import { readLogprobs } from './logprobs.ts';
import { readAnswerPart } from './parts-decode.ts';
import { callScope, makeToolId } from './tool-ids.ts';
import { decodeUsage } from './usage.ts';

const answerFields = new Set(['candidates', 'usageMetadata', 'modelVersion', 'responseId']);
const candidateFields = new Set(['content', 'finishReason', 'index', 'logprobsResult']);

/** Reads an answer of `:generateContent`. Throws GatewayFailure when it is an error, or no answer at all. */
export function decodeResponse(wire: JsonObject): ChatResponse {
  if (asObject(wire['error'])) throw new GatewayFailure(decodeUpstreamErrorValue(200, wire));
  const id = asString(wire['responseId']) ?? '';
  const candidates = asObjects(wire['candidates']);
  const blocked = blockReason(wire);
  if (candidates.length === 0 && blocked === undefined) throw noAnswer(wire);
  const counter = { calls: 0 };
  const choices = candidates.map((candidate, position) =>
    readChoice(candidate, position, id, counter),
  );
  if (choices.length === 0)
    choices.push({ index: 0, parts: [], finish: { reason: 'content-filter', raw: blocked ?? '' } });
  const createdAt = readTime(wire['createTime']);
  const usage = decodeUsage(wire['usageMetadata']);
  return {
    dialect: geminiId,
    id,
    model: asString(wire['modelVersion']) ?? '',
    ...(createdAt === undefined ? {} : { createdAt }),
    choices,
    ...(usage ? { usage } : {}),
    ...(usage?.serviceTier === undefined ? {} : { serviceTier: usage.serviceTier }),
    extensions: answerExtensions(wire, candidates.map(candidateExtensions)),
  };
}

function noAnswer(wire: JsonObject): GatewayFailure {
  const empty = wire['usageMetadata'] !== undefined || wire['responseId'] !== undefined;
  return new GatewayFailure(
    empty
      ? gatewayError('upstream_empty', 'The upstream provider gave an empty answer.')
      : gatewayError('upstream_invalid', 'The upstream provider gave no answer that can be read.'),
  );
}

/** Why a prompt was refused: then there are no candidates. */
export function blockReason(wire: JsonObject): string | undefined {
  const word = enumName(asObject(wire['promptFeedback'])?.['blockReason'], blockNames);
  return word === '' || word === blockNames[0] ? undefined : word;
}

/**
 * The reason of a candidate's end in a frame of a stream. `STOP` behind code that the vendor runs itself ends
 * only a step: its result and the answer come after it.
 */
export function endOf(candidate: JsonObject): string | undefined {
  const word = finishWord(candidate['finishReason']);
  const last = asObject(asArray(asObject(candidate['content'])?.['parts'])?.at(-1));
  const runsCode = asObject(last?.['executableCode'] ?? last?.['executable_code']) !== undefined;
  return runsCode && word === 'STOP' ? undefined : word;
}

export function readTime(value: JsonValue | undefined): number | undefined {
  const time = Date.parse(asString(value) ?? '');
  return Number.isNaN(time) ? undefined : Math.floor(time / 1_000);
}

/** What only Gemini says of the candidates and of the answer. */
export function answerExtensions(wire: JsonObject, candidates: readonly JsonObject[]): JsonObject {
  const rest = unknownFields(wire, answerFields);
  return candidates.some((candidate) => Object.keys(candidate).length > 0)
    ? { ...rest, candidates }
    : rest;
}

export function candidateExtensions(candidate: JsonObject): JsonObject {
  return unknownFields(candidate, candidateFields);
}

function readChoice(
  candidate: JsonObject,
  position: number,
  id: string,
  counter: { calls: number },
): Choice {
  const parts: Part[] = [];
  const texts: (CitableText & { readonly at: number })[] = [];
  for (const [wireIndex, value] of (
    asArray(asObject(candidate['content'])?.['parts']) ?? []
  ).entries()) {
    const part = readAnswerPart(value);
    if (!part || part.kind === 'raw-result') continue;
    if (part.kind === 'raw-call') {
      const scope = callScope(id, part.name, part.input);
      parts.push(namedCall(part, part.id ?? makeToolId(scope, counter.calls)));
      counter.calls += 1;
      continue;
    }
    if (
      (part.kind === 'text' || part.kind === 'reasoning') &&
      part.text === '' &&
      !part.state &&
      !part.extensions
    )
      continue;
    if (part.kind === 'text') texts.push({ at: parts.length, wireIndex, text: part.text });
    parts.push(part);
  }
  for (const [index, citations] of citationsOf(candidate, texts).entries()) {
    const at = texts[index]?.at ?? -1;
    const part = parts[at];
    if (citations.length > 0 && part?.kind === 'text') parts[at] = { ...part, citations };
  }
  const raw = enumName(candidate['finishReason'], finishNames) ?? '';
  const logprobs = readLogprobs(candidate['logprobsResult']);
  return {
    index: asCount(candidate['index']) ?? position,
    parts,
    finish: decodeFinish(
      raw,
      parts.some(({ kind }) => kind === 'tool-call'),
    ),
    ...(logprobs ? { logprobs } : {}),
  };
}
