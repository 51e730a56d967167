import type { ChatRequest, Loss } from '#canonical';
import { readQuirks, type AnthropicQuirks } from './quirks.ts';
import type { Quirks } from '../dialect.ts';

/** What the parts of one request's encoding share. */
export type Encoding = {
  /** The request was said in this dialect: its extensions go back to where they were. */
  readonly own: boolean;
  readonly quirks: AnthropicQuirks;
  readonly losses: Loss[];
  /** The ids under which tool calls are known upstream. */
  readonly toolIds: ToolIds;
};

export function createEncoding(request: ChatRequest, quirks: Quirks): Encoding {
  return {
    own: request.dialect === 'anthropic-messages',
    quirks: readQuirks(quirks),
    losses: [],
    toolIds: createToolIds(),
  };
}

/** Reports that something was dropped. `changesMeaning`: the request must be refused for it. */
export function lose(
  encoding: Pick<Encoding, 'losses'>,
  path: string,
  reason: string,
  changesMeaning = false,
): void {
  encoding.losses.push({ path, reason, changesMeaning });
}

const legalToolId = /^[a-zA-Z0-9_-]{1,128}$/;

/** Ids of calls and of the results that answer them, in the order of the conversation. */
export type ToolIds = {
  readonly ofCall: (id: string) => string;
  readonly ofResult: (id: string) => string;
};

/**
 * Ids as Anthropic accepts them: `^[a-zA-Z0-9_-]+$`, no two calls alike. Some vendors count calls
 * anew in every turn or leave ids empty; then each result takes the earliest call still open.
 */
export function createToolIds(): ToolIds {
  const open = new Map<string, { readonly given: string[]; answered: number }>();
  const taken = new Set<string>();
  /** The number that was given last, by id: an agent may say one id a thousand times. */
  const counts = new Map<string, number>();
  const allocate = (id: string): string => {
    const base = legalToolId.test(id)
      ? id
      : id.replace(/[^a-zA-Z0-9_-]/g, '_').slice(0, 100) || 'call';
    let candidate = base;
    let count = counts.get(base) ?? 1;
    while (taken.has(candidate)) candidate = `${base}_${(count += 1)}`;
    counts.set(base, count);
    taken.add(candidate);
    return candidate;
  };
  return {
    ofCall: (id) => {
      const given = allocate(id);
      const calls = open.get(id);
      if (calls) calls.given.push(given);
      else open.set(id, { given: [given], answered: 0 });
      return given;
    },
    ofResult: (id) => {
      const calls = open.get(id);
      const given = calls?.given[calls.answered];
      if (calls === undefined || given === undefined) return allocate(id);
      calls.answered += 1;
      return given;
    },
  };
}
