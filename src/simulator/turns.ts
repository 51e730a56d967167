/**
 * Scripted conversations: what the simulated model says to which words. Programs that bring tools of
 * their own (coding agents) need calls with arguments that their tools accept; here they are written down.
 */

import type { ChatRequest, DialectId, Message, Part, Usage } from '#canonical';
import type { JsonObject } from '#std';

export type Turn = {
  /** Words that the client's newest messages contain: all those after the last answer. */
  readonly said: string;
  /** Whose words count: the result of a tool (`tool`), or the user's own. */
  readonly by: 'user' | 'tool';
  readonly reasoning?: string | undefined;
  /** Opaque state that a vendor would want back: a signature of the thinking or of the first call. */
  readonly state?: string | undefined;
  readonly text?: string | undefined;
  readonly calls?: readonly ScriptedCall[] | undefined;
  readonly usage?: Usage | undefined;
};

/** `tool` must be offered by the request, otherwise the turn does not apply. A text is a custom tool's input. */
export type ScriptedCall = { readonly tool: string; readonly input: JsonObject | string };

export type Said = { readonly parts: readonly Part[]; readonly usage: Usage | undefined };

/**
 * What the script says to this request; `undefined`: nothing, so that the model's own answer stands.
 * The `id` of the answer makes the ids of its calls unique.
 */
export function scripted(
  request: ChatRequest,
  turns: readonly Turn[],
  id: string,
): Said | undefined {
  if (turns.length === 0) return undefined;
  const asked = newest(request.messages);
  const offered = new Set(
    request.tools.flatMap((tool) => ('name' in tool && tool.name !== undefined ? [tool.name] : [])),
  );
  const turn = turns.find(
    ({ by, said, calls }) =>
      asked[by].includes(said) && (calls ?? []).every((call) => offered.has(call.tool)),
  );
  return turn && { parts: partsOf(turn, request, id), usage: turn.usage };
}

/** Agents add reminders around the question and behind results: all that follows the last answer counts. */
function newest(messages: readonly Message[]): { readonly user: string; readonly tool: string } {
  const fresh = messages.slice(
    messages.findLastIndex((message) => message.role === 'assistant') + 1,
  );
  const parts = fresh
    .filter((message) => message.role === 'user' || message.role === 'tool')
    .flatMap((message) => message.parts);
  const results = parts.flatMap((part) => (part.kind === 'tool-result' ? part.parts : []));
  return { user: textsOf(parts), tool: textsOf(results) };
}

function textsOf(parts: readonly Part[]): string {
  return parts.flatMap((part) => (part.kind === 'text' ? [part.text] : [])).join('\n');
}

function partsOf(turn: Turn, request: ChatRequest, id: string): readonly Part[] {
  const state =
    turn.state === undefined
      ? {}
      : {
          state: { issuer: request.dialect, value: turn.state, form: stateForms[request.dialect] },
        };
  const signsCalls = request.dialect === 'gemini-generate';
  const form = request.dialect === 'openai-responses' ? 'summary' : 'full';
  const reasoning: Part[] =
    turn.reasoning === undefined
      ? []
      : [{ kind: 'reasoning', text: turn.reasoning, form, ...(signsCalls ? {} : state) }];
  const text: Part[] = turn.text === undefined ? [] : [{ kind: 'text', text: turn.text }];
  const calls = (turn.calls ?? []).map((call, index): Part => {
    return {
      kind: 'tool-call',
      id: `call_${id}_${index}`,
      name: call.tool,
      input: typeof call.input === 'string' ? call.input : JSON.stringify(call.input),
      ...(typeof call.input === 'string' ? { custom: true } : {}),
      ...(index === 0 && signsCalls ? state : {}),
    };
  });
  return [...reasoning, ...text, ...calls];
}

const stateForms: { readonly [dialect in DialectId]: string } = {
  'anthropic-messages': 'signature',
  'openai-responses': 'encrypted_content',
  'gemini-generate': 'thoughtSignature',
  'openai-chat': 'thought_signature',
  'openai-completions': '',
};
