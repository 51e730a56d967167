import { asString, parseJsonObject } from '#std';
import type { ChatEvent, ChatRequest, ChatResponse, Part, ToolCallPart } from './chat.ts';

/**
 * Tools whose input is free text exist in the OpenAI dialects only. Other dialects declare them with
 * one string parameter, `input`, so that their calls come back as JSON: `{"input": "ls -l"}`. Here
 * such calls become free text again, for the client that declared the tool.
 */
export function restoreCustomCalls(response: ChatResponse, request: ChatRequest): ChatResponse {
  const names = customToolNames(request);
  if (names.size === 0) return response;
  const choices = response.choices.map((choice) => ({
    ...choice,
    parts: choice.parts.map((part) => (isWrapped(part, names) ? unwrapped(part) : part)),
  }));
  return { ...response, choices };
}

/** The same for a stream. `undefined` when the request declares no such tool: nothing to do. */
export function createCustomCallRestorer(
  request: ChatRequest,
): ((event: ChatEvent) => readonly ChatEvent[]) | undefined {
  const names = customToolNames(request);
  if (names.size === 0) return undefined;
  const open = new Map<number, { readonly part: ToolCallPart; readonly pieces: string[] }>();
  return (event) => {
    if (event.kind === 'part-start' && isWrapped(event.part, names)) {
      open.set(event.index, { part: event.part, pieces: [] });
      return [{ ...event, part: { ...event.part, input: '', custom: true } }];
    }
    const call =
      event.kind === 'part-delta' || event.kind === 'part-end' ? open.get(event.index) : undefined;
    if (!call) return [event];
    if (event.kind === 'part-delta') {
      call.pieces.push(event.delta);
      return [];
    }
    if (event.kind !== 'part-end') return [event];
    open.delete(event.index);
    const delta = freeText(call.part.input + call.pieces.join(''));
    return delta === '' ? [event] : [{ kind: 'part-delta', index: event.index, delta }, event];
  };
}

function customToolNames(request: ChatRequest): ReadonlySet<string> {
  return new Set(request.tools.flatMap((tool) => (tool.kind === 'custom' ? [tool.name] : [])));
}

function isWrapped(part: Part, names: ReadonlySet<string>): part is ToolCallPart {
  return part.kind === 'tool-call' && part.custom !== true && names.has(part.name);
}

function unwrapped(part: ToolCallPart): ToolCallPart {
  return { ...part, input: freeText(part.input), custom: true };
}

/** Input that is not wrapped as declared is handed on as it is: the tool sees what the model wrote. */
function freeText(input: string): string {
  return asString(parseJsonObject(input)?.['input']) ?? input;
}
