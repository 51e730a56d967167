import type { Choice, Finish, FinishReason } from '#canonical';
import { asObject, asString, type JsonObject } from '#std';

const reasons: { readonly [stopReason: string]: FinishReason } = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool-calls',
  pause_turn: 'pause',
  compaction: 'pause',
  refusal: 'refusal',
  // Words of chat that compatible servers let through.
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool-calls',
  content_filter: 'content-filter',
};

/**
 * From `{stop_reason, stop_sequence, stop_details}` of a message or of a `message_delta`. `calling`:
 * calls are there to be run, whatever a compatible server says, or does not say, of the end.
 */
export function decodeFinish(source: JsonObject, calling: boolean): Finish {
  const raw = asString(source['stop_reason']) ?? '';
  const stopSequence = asString(source['stop_sequence']);
  const details = asObject(source['stop_details']);
  const word = raw.toLowerCase();
  const known = Object.hasOwn(reasons, word) ? (reasons[word] ?? 'other') : 'other';
  const open = known === 'stop' || raw === '';
  return {
    reason: calling && open && stopSequence === undefined ? 'tool-calls' : known,
    raw,
    ...(stopSequence === undefined ? {} : { stopSequence }),
    ...(details ? { details } : {}),
  };
}

const stopReasons: { readonly [reason in FinishReason]: string } = {
  stop: 'end_turn',
  length: 'max_tokens',
  'tool-calls': 'tool_use',
  'content-filter': 'refusal',
  refusal: 'refusal',
  pause: 'pause_turn',
  error: 'end_turn',
  other: 'end_turn',
};

/** `own`: the answer came from this dialect, whose own word is kept. */
export function encodeFinish(finish: Finish | undefined, own: boolean): JsonObject {
  if (!finish) return { stop_reason: 'end_turn', stop_sequence: null };
  const { reason, raw, stopSequence, details } = finish;
  const word =
    own && raw !== ''
      ? raw
      : reason === 'stop' && stopSequence !== undefined
        ? 'stop_sequence'
        : stopReasons[reason];
  return {
    stop_reason: own && raw === '' && reason === 'other' ? null : word,
    stop_sequence: stopSequence ?? null,
    ...(own && details ? { stop_details: details } : {}),
  };
}

/** An answer given through the tool that stands for a JSON schema ends like any text. */
export function finishOfStructuredAnswer(finish: Finish, parts: Choice['parts']): Finish {
  const callsTools = parts.some((part) => part.kind === 'tool-call');
  return finish.reason === 'tool-calls' && !callsTools
    ? { ...finish, reason: 'stop', raw: 'end_turn' }
    : finish;
}
