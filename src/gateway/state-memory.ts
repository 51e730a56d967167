/**
 * Opaque state for clients that forget it. Thinking signatures and thought signatures travel in fields
 * that many chat clients drop, and a vendor refuses a tool result without them. What came with a tool
 * call is kept under the call's id and put back when the client sends the call again without it.
 */

import type {
  ChatEvent,
  ChatRequest,
  ChatResponse,
  DialectId,
  Message,
  OpaqueState,
  Part,
  ReasoningPart,
  ToolCallPart,
} from '#canonical';

/** What belongs to one tool call: the thinking before it and the state on it. */
type Remembered = {
  readonly reasoning: readonly ReasoningPart[];
  readonly state: OpaqueState | undefined;
  readonly bytes: number;
};

/** The same with the call's id, on its way between processes. */
export type KeptState = Omit<Remembered, 'bytes'> & { readonly id: string };

const entryBytesMax = 256 * 1024;

/** Bounded in bytes, the longest unused goes first; of this process only. */
export class StateMemory {
  readonly #entries = new Map<string, Remembered>();
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax = 64 * 2 ** 20) {
    this.#bytesMax = bytesMax;
  }

  /** Keeps the state of each tool call of an answer. */
  remember(owner: string, parts: readonly Part[]): void {
    let reasoning: ReasoningPart[] = [];
    for (const part of parts) {
      if (part.kind === 'reasoning') reasoning.push(part);
      if (part.kind !== 'tool-call') continue;
      const stateful = reasoning.filter((candidate) => candidate.state !== undefined);
      if (stateful.length > 0 || part.state)
        this.#put(`${owner} ${part.id}`, reasoning, part.state);
      // Thinking belongs to the first call after it; parallel calls follow without.
      reasoning = [];
    }
  }

  rememberAnswer(owner: string, answer: ChatResponse): void {
    for (const choice of answer.choices) this.remember(owner, choice.parts);
  }

  /** The request with forgotten state of this issuer put back; the same object when nothing was forgotten. */
  recall(owner: string, request: ChatRequest, issuer: DialectId): ChatRequest {
    let changed = false;
    const messages = request.messages.map((message) => {
      const restored =
        message.role === 'assistant' ? this.#restore(owner, message, issuer) : message;
      changed ||= restored !== message;
      return restored;
    });
    return changed ? { ...request, messages } : request;
  }

  /** What is known of these calls. */
  kept(owner: string, callIds: readonly string[]): readonly KeptState[] {
    return callIds.flatMap((id) => {
      const found = this.#get(`${owner} ${id}`);
      return found ? { id, reasoning: found.reasoning, state: found.state } : [];
    });
  }

  /** Takes over what another memory has kept. */
  keep(owner: string, kept: readonly KeptState[]): void {
    for (const { id, reasoning, state } of kept) this.#put(`${owner} ${id}`, reasoning, state);
  }

  #restore(owner: string, message: Message, issuer: DialectId): Message {
    let changed = false;
    const parts: Part[] = [];
    for (const part of message.parts) {
      const found = part.kind === 'tool-call' ? this.#get(`${owner} ${part.id}`) : undefined;
      const mine =
        found &&
        (found.state?.issuer === issuer ||
          found.reasoning.some((candidate) => candidate.state?.issuer === issuer));
      if (part.kind !== 'tool-call' || !found || !mine || isWhole(message, part, found)) {
        parts.push(part);
        continue;
      }
      // Vendors think before they speak and call: the first call's thinking opens the message.
      if (parts.some((other) => other.kind === 'tool-call')) parts.push(...found.reasoning);
      else parts.unshift(...found.reasoning);
      parts.push(found.state ? { ...part, state: found.state } : part);
      changed = true;
    }
    return changed ? { ...message, parts: withoutDoubledThinking(parts) } : message;
  }

  #get(key: string): Remembered | undefined {
    const found = this.#entries.get(key);
    if (!found) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, found);
    return found;
  }

  #put(key: string, reasoning: readonly ReasoningPart[], state: OpaqueState | undefined): void {
    const bytes =
      reasoning.reduce(
        (sum, part) => sum + part.text.length + (part.state?.value.length ?? 0),
        state?.value.length ?? 0,
      ) + key.length;
    if (bytes > entryBytesMax) return;
    this.#drop(key);
    this.#entries.set(key, { reasoning, state, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    const found = this.#entries.get(key);
    if (!found) return;
    this.#bytes -= found.bytes;
    this.#entries.delete(key);
  }
}

/** Whether the client kept all of it. A signature over words that were cut short is worth nothing. */
function isWhole(message: Message, call: ToolCallPart, { reasoning, state }: Remembered): boolean {
  if (state && !call.state) return false;
  return reasoning.every(
    (kept) =>
      !kept.state ||
      message.parts.some(
        (part) =>
          part.kind === 'reasoning' &&
          part.state?.value === kept.state?.value &&
          part.text === kept.text,
      ),
  );
}

/**
 * Clients that kept the words of the thinking but not its signature would send them twice. Some keep
 * both in part: whoever joins a stream by fields it knows has the last piece of any other field.
 */
function withoutDoubledThinking(parts: readonly Part[]): readonly Part[] {
  const longest = new Map<string, ReasoningPart>();
  for (const part of parts) {
    if (part.kind !== 'reasoning' || !part.state) continue;
    const rival = longest.get(part.state.value);
    if (!rival || rival.text.length < part.text.length) longest.set(part.state.value, part);
  }
  const signed = [...longest.values()];
  return parts.filter((part) => {
    if (part.kind !== 'reasoning') return true;
    return part.state
      ? longest.get(part.state.value) === part
      : !signed.some(({ text }) => text.includes(part.text));
  });
}

/** Gathers the stateful parts of a stream as they pass, for {@link StateMemory.remember}. */
export class StateGatherer {
  readonly #open = new Map<number, { part: ReasoningPart | ToolCallPart; text: string }>();
  readonly parts: Part[] = [];

  push(event: ChatEvent): void {
    if (
      event.kind === 'part-start' &&
      (event.part.kind === 'reasoning' || event.part.kind === 'tool-call')
    ) {
      this.#open.set(event.index, { part: event.part, text: '' });
    } else if (event.kind === 'part-delta') {
      const open = this.#open.get(event.index);
      if (open?.part.kind === 'reasoning' && open.text.length < entryBytesMax)
        open.text += event.delta;
    } else if (event.kind === 'part-end') {
      const open = this.#open.get(event.index);
      if (!open) return;
      this.#open.delete(event.index);
      const state = event.final?.state ?? open.part.state;
      const part =
        open.part.kind === 'reasoning'
          ? { ...open.part, text: open.part.text + open.text }
          : open.part;
      this.parts.push(state ? { ...part, state } : part);
    }
  }
}
