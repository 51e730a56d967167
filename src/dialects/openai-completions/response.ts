import {
  fail,
  GatewayFailure,
  type ChatRequest,
  type ChatResponse,
  type Encoded,
  type Finish,
  type Loss,
  type Part,
  type TokenLogprob,
} from '#canonical';
import {
  asArray,
  asCount,
  asNumber,
  asObject,
  asObjects,
  asString,
  compact,
  fieldPath,
  unknownFields,
  type JsonObject,
  type JsonValue,
} from '#std';
import type { Quirks } from '../dialect.ts';
import { choiceDetails, createdAtOf, decodeFinish, withoutNulls } from '../openai-chat/answer.ts';
import { finishWord, knownFields, usageOf } from '../openai-chat/response.ts';
import { encodeUsage } from '../openai-chat/usage.ts';
import { decodeUpstreamErrorValue } from '../upstream-error.ts';

/** Reads `text_completion` answers: the text stands in the choice itself. */
export function decodeResponse(wire: JsonObject, quirks: Quirks): ChatResponse {
  const choices = asObjects(wire['choices']);
  if (choices.length === 0 && asObject(wire['error']))
    throw new GatewayFailure(decodeUpstreamErrorValue(200, wire));
  if (choices.length === 0) fail('upstream_invalid', 'The upstream provider sent no answer.');
  const createdAt = createdAtOf(wire);
  const usage = usageOf(wire, quirks);
  const serviceTier = asString(wire['service_tier']);
  return {
    dialect: 'openai-completions',
    id: asString(wire['id']) ?? '',
    model: asString(wire['model']) ?? '',
    ...(createdAt === undefined ? {} : { createdAt }),
    choices: choices.map((choice, position) => {
      const text =
        asString(choice['text']) ?? asString(asObject(choice['message'])?.['content']) ?? '';
      const logprobs = decodeLogprobLists(choice['logprobs']);
      return {
        index: asCount(choice['index']) ?? position,
        parts: text === '' ? [] : [{ kind: 'text', text }],
        finish: decodeFinish(
          asString(choice['finish_reason']) ?? '',
          false,
          choiceDetails(choice, {}),
        ),
        ...(logprobs.length > 0 ? { logprobs } : {}),
      };
    }),
    ...(usage ? { usage } : {}),
    ...(serviceTier === undefined ? {} : { serviceTier }),
    extensions: withoutNulls(unknownFields(wire, knownFields)),
  };
}

/** Parallel lists `tokens`, `token_logprobs`, `top_logprobs`: the form before chat. */
export function decodeLogprobLists(value: JsonValue | undefined): readonly TokenLogprob[] {
  const object = asObject(value);
  const values = asArray(object?.['token_logprobs']) ?? [];
  const tops = asArray(object?.['top_logprobs']) ?? [];
  return (asArray(object?.['tokens']) ?? []).flatMap((element, index): TokenLogprob[] => {
    const token = asString(element);
    if (token === undefined) return [];
    const top = Object.entries(asObject(tops[index]) ?? {}).flatMap(([other, logprob]) => {
      const known = asNumber(logprob);
      return known === undefined ? [] : [{ token: other, logprob: known }];
    });
    return [{ token, logprob: asNumber(values[index]) ?? 0, ...(top.length > 0 ? { top } : {}) }];
  });
}

/** `start`: where the first token begins in the text of its choice, in UTF-16 units. */
export function encodeLogprobLists(tokens: readonly TokenLogprob[], start = 0): JsonObject {
  const offsets: number[] = [];
  let offset = start;
  for (const { token } of tokens) {
    offsets.push(offset);
    offset += token.length;
  }
  return {
    tokens: tokens.map(({ token }) => token),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top }) =>
      top ? Object.fromEntries(top.map((other) => [other.token, other.logprob])) : null,
    ),
    text_offset: offsets,
  };
}

/** Writes an answer for a client of the legacy endpoint. Only text can be said. */
export function encodeResponse(response: ChatResponse, _request: ChatRequest): Encoded<JsonObject> {
  const losses: Loss[] = [];
  const own = response.dialect === 'openai-completions';
  const choices = response.choices.map((choice, position) => ({
    index: choice.index,
    text: encodeText(choice.parts, fieldPath('choices', position), losses),
    logprobs: choice.logprobs ? encodeLogprobLists(choice.logprobs) : null,
    finish_reason: completionFinish(choice.finish),
    ...(own ? choice.finish.details : {}),
  }));
  const value = compact({
    id: response.id,
    object: 'text_completion',
    created: Math.floor(response.createdAt ?? 0),
    model: response.model,
    choices,
    usage: response.usage && encodeUsage(response.usage, response.bill),
    service_tier: response.serviceTier,
    ...(own ? response.extensions : {}),
  });
  return { value, losses };
}

export function completionFinish(finish: Finish): string {
  return finish.reason === 'tool-calls' ? 'stop' : finishWord(finish, false);
}

function encodeText(parts: readonly Part[], path: string, losses: Loss[]): string {
  let text = '';
  for (const part of parts) {
    if (part.kind === 'text' || part.kind === 'refusal') text += part.text;
    else
      losses.push({
        path,
        reason: `a completion has no place for ${part.kind}`,
        changesMeaning: false,
      });
  }
  return text;
}
