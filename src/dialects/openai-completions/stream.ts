import type { Bill, ChatEvent, ChatRequest, Part, Usage } from '#canonical';
import { asString, compact, fieldPath, formatSse, type JsonObject } from '#std';
import type { Quirks, StreamDecoder, StreamEncoder } from '../dialect.ts';
import { encodeError } from '../openai-chat/error.ts';
import { createStreamDecoder } from '../openai-chat/stream-decode.ts';
import { encodeUsage } from '../openai-chat/usage.ts';
import { completionFinish, decodeLogprobLists, encodeLogprobLists } from './response.ts';

/** Reads a stream of `text_completion` chunks: chat chunks whose text stands in the choice. */
export function createCompletionsDecoder(quirks: Quirks): StreamDecoder {
  return createStreamDecoder(quirks, {
    dialect: 'openai-completions',
    delta: (choice) => ({ content: asString(choice['text']) ?? '' }),
    logprobs: decodeLogprobLists,
  });
}

type OnLoss = (path: string, reason: string) => void;

/** Writes a stream for a client of the legacy endpoint. */
export function createCompletionsEncoder(
  request: ChatRequest,
  onLoss: OnLoss = () => {},
): StreamEncoder {
  const open = new Map<number, { readonly part: Part; readonly choice: number }>();
  let head: JsonObject = {};
  let told: { readonly usage: Usage; readonly bill: Bill | undefined } | undefined;

  function chunk(index: number, text: string, rest: JsonObject = {}): string {
    const choice = { index, text, logprobs: null, finish_reason: null, ...rest };
    return formatSse({ data: JSON.stringify({ ...head, choices: [choice] }) });
  }

  function startPart(event: Extract<ChatEvent, { kind: 'part-start' }>): string {
    const { part, choice, index } = event;
    open.set(index, { part, choice });
    if (part.kind === 'text' || part.kind === 'refusal')
      return part.text === '' ? '' : chunk(choice, part.text);
    onLoss(fieldPath('choices', choice), `a completion has no place for ${part.kind}`);
    return '';
  }

  function close(): string {
    const done = 'data: [DONE]\n\n';
    if (!told || !request.streamUsage) return done;
    const usage = encodeUsage(told.usage, told.bill);
    return formatSse({ data: JSON.stringify({ ...head, choices: [], usage }) }) + done;
  }

  return {
    push(event) {
      switch (event.kind) {
        case 'start':
          head = compact({
            id: event.id,
            object: 'text_completion',
            created: Math.floor(event.createdAt ?? 0),
            model: event.model,
          });
          return '';
        case 'part-start':
          return startPart(event);
        case 'part-delta': {
          const known = open.get(event.index);
          const words = known?.part.kind === 'text' || known?.part.kind === 'refusal';
          return known && words && event.delta !== '' ? chunk(known.choice, event.delta) : '';
        }
        case 'part-end':
          open.delete(event.index);
          return '';
        case 'logprobs':
          return chunk(event.choice, '', { logprobs: encodeLogprobLists(event.tokens) });
        case 'end':
          return chunk(event.choice, '', { finish_reason: completionFinish(event.finish) });
        case 'usage':
          told = { usage: event.usage, bill: event.bill };
          return '';
        case 'finished':
          return close();
        case 'error':
          return formatSse({ data: JSON.stringify(encodeError(event.error, '').body) });
      }
    },
  };
}
