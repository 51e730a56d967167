import type { ChatResponse, Choice, Encoded, Finish, Loss, Part, Usage } from '#canonical';
import { asObject, asObjects, asString, compact, saidFields, type JsonObject } from '#std';
import { foreignDetails } from '../finish-details.ts';
import { encodePart, lose, type Encoding } from './contents-encode.ts';
import { geminiId } from './fields.ts';
import { encodeFinish, finishMessage } from './finish.ts';
import { groundingOf, hasGrounding, type CitedText } from './grounding.ts';
import { writeLogprobs } from './logprobs.ts';
import { readQuirks } from './quirks.ts';
import { decodeUsage, encodeUsage } from './usage.ts';

const noNames: ReadonlyMap<string, string> = new Map();

/** What the encoders of an answer share. */
export function answerEncoding(own: boolean, losses: Loss[]): Encoding {
  return { quirks: readQuirks({}), own, forClient: true, losses };
}

/** The wire parts of a part of an answer. */
export function encodeAnswerPart(part: Part, path: string, encoding: Encoding): JsonObject[] {
  return encodePart(part, path, noNames, encoding);
}

/** The answer as a client of `:generateContent` reads it. */
export function encodeResponse(response: ChatResponse): Encoded<JsonObject> {
  const own = response.dialect === geminiId;
  const encoding = answerEncoding(own, []);
  if (!own)
    for (const key of foreignFields(
      response.extensions,
      response.choices.map(({ finish }) => finish),
    ))
      lose(encoding, key, 'unknown to Gemini', false);
  const { candidates: _, ...rest } = own ? response.extensions : {};
  const extras = own ? asObjects(response.extensions['candidates']) : [];
  const value = compact({
    candidates: isBlocked(response)
      ? undefined
      : response.choices.map((choice, at) => encodeChoice(choice, extras[at] ?? {}, encoding)),
    createTime: writeTime(response.createdAt),
    ...rest,
    usageMetadata: encodeUsage(response.usage, response.bill),
    modelVersion: response.model,
    responseId: response.id,
  });
  return { value, losses: encoding.losses };
}

/** What another vendor's answer says beside its parts and Gemini has no field for. */
export function foreignFields(
  extensions: JsonObject,
  finishes: readonly (Finish | undefined)[],
): readonly string[] {
  const ends = finishes.flatMap((finish) => (finish ? foreignDetails(finish) : []));
  return [...saidFields(extensions), ...ends.filter((key) => key !== 'explanation')];
}

/** A prompt that Gemini refused has no candidates on the wire. */
function isBlocked({ dialect, choices, extensions }: ChatResponse): boolean {
  const reason = asString(asObject(extensions['promptFeedback'])?.['blockReason']);
  if (dialect !== geminiId || reason === undefined) return false;
  return choices.length === 1 && choices[0]?.parts.length === 0 && choices[0].finish.raw === reason;
}

function encodeChoice(choice: Choice, extra: JsonObject, encoding: Encoding): JsonObject {
  const parts: JsonObject[] = [];
  const cited: CitedText[] = [];
  for (const [index, part] of choice.parts.entries()) {
    if (part.kind === 'text' && part.citations)
      cited.push({ partIndex: parts.length, text: part.text, citations: part.citations });
    parts.push(
      ...encodeAnswerPart(part, `candidates[${choice.index}].content.parts[${index}]`, encoding),
    );
  }
  if (parts.length === 0) parts.push({ text: '' });
  return compact({
    content: { parts, role: 'model' },
    finishReason: encoding.own && isUntold(choice.finish) ? undefined : encodeFinish(choice.finish),
    finishMessage: encoding.own ? undefined : finishMessage(choice.finish),
    index: choice.index,
    logprobsResult: writeLogprobs(choice.logprobs),
    groundingMetadata: hasGrounding(extra) ? undefined : groundingOf(cited),
    ...extra,
  });
}

/** An answer may come without a reason for its end. */
function isUntold({ reason, raw }: Finish): boolean {
  return reason === 'other' && raw === '';
}

/** Seconds since the epoch as Google writes times. */
export function writeTime(seconds: number | undefined): string | undefined {
  return seconds === undefined ? undefined : new Date(seconds * 1_000).toISOString();
}

/** Usage of a whole answer body. */
export function responseUsage(wire: JsonObject): Usage | undefined {
  return decodeUsage(wire['usageMetadata']);
}
