import type { ChatRequest, Loss } from '#canonical';
import { readQuirks, type AnthropicQuirks } from './quirks.ts';
import type { Quirks } from '../dialect.ts';

/** What the parts of one request's encoding share. */
export type Encoding = {
  /** The request was said in this dialect: its extensions go back to where they were. */
  readonly own: boolean;
  readonly quirks: AnthropicQuirks;
  readonly losses: Loss[];
  /** The id under which a tool call is known upstream. */
  readonly toolId: (id: string) => string;
};

export function createEncoding(request: ChatRequest, quirks: Quirks): Encoding {
  return {
    own: request.dialect === 'anthropic-messages',
    quirks: readQuirks(quirks),
    losses: [],
    toolId: createToolIds(),
  };
}

/** Reports that something was dropped. `changesMeaning`: the request must be refused for it. */
export function lose(encoding: Pick<Encoding, 'losses'>, path: string, reason: string, changesMeaning = false): void {
  encoding.losses.push({ path, reason, changesMeaning });
}

const legalToolId = /^[a-zA-Z0-9_-]{1,128}$/;

/**
 * Ids as Anthropic accepts them (`^[a-zA-Z0-9_-]+$`). The same id always gives the same result within
 * one request, and two ids never share one, so calls and results still find each other.
 */
export function createToolIds(): (id: string) => string {
  const given = new Map<string, string>();
  const taken = new Set<string>();
  return (id) => {
    const known = given.get(id);
    if (known !== undefined) return known;
    const base = legalToolId.test(id) ? id : id.replace(/[^a-zA-Z0-9_-]/g, '_').slice(0, 100) || 'call';
    let candidate = base;
    for (let count = 2; taken.has(candidate); count += 1) candidate = `${base}_${count}`;
    given.set(id, candidate);
    taken.add(candidate);
    return candidate;
  };
}
