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
  const open = new Map<string, string[]>();
  const taken = new Set<string>();
  const allocate = (id: string): string => {
    const base = legalToolId.test(id)
      ? id
      : id.replace(/[^a-zA-Z0-9_-]/g, '_').slice(0, 100) || 'call';
    let candidate = base;
    for (let count = 2; taken.has(candidate); count += 1) candidate = `${base}_${count}`;
    taken.add(candidate);
    return candidate;
  };
  return {
    ofCall: (id) => {
      const given = allocate(id);
      open.set(id, [...(open.get(id) ?? []), given]);
      return given;
    },
    ofResult: (id) => open.get(id)?.shift() ?? allocate(id),
  };
}
