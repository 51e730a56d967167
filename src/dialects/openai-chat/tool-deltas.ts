import type { ToolCallPart } from '#canonical';
import { asCount, asObject, asString, type JsonObject } from '#std';
import { saysNoArguments } from '../no-arguments.ts';
import { argumentsText, madeToolId } from './answer.ts';
import { decodeToolState } from './details.ts';
import { JsonProgress, type PartQueue, type PendingPart } from './part-queue.ts';

type OpenCall = {
  readonly part: PendingPart;
  readonly progress: JsonProgress;
  id: string;
  name: string;
  /** Arguments began with `{}` or `null`: none, unless others follow. */
  placeholder: boolean;
};

/**
 * Puts the pieces of tool calls together, whatever the vendor leaves out or repeats: `index` missing
 * or not from 0, ids missing, empty or repeated, a new id under an old index, arguments as an object.
 */
export class ToolDeltas {
  readonly #queue: PartQueue;
  readonly #choice: number;
  readonly #calls: OpenCall[] = [];
  readonly #byIndex = new Map<number, OpenCall>();
  #legacy: boolean | undefined;

  constructor(choice: number, queue: PartQueue) {
    this.#choice = choice;
    this.#queue = queue;
  }

  get calling(): boolean {
    return this.#calls.length > 0;
  }

  /** The call of before there were several; beside `tool_calls` it says the same a second time. */
  pushLegacy(call: JsonObject, responseId: string): void {
    this.#legacy ??= !this.calling;
    if (this.#legacy) this.push({ index: 0, function: call }, responseId);
  }

  /** The pieces of one chunk. Several of them that name no call belong to as many of the latest ones, in order. */
  pushAll(deltas: readonly JsonObject[], responseId: string): void {
    const first = this.#calls.length - deltas.length;
    const isNameless = deltas.length > 1 && first >= 0 && deltas.every(namesNoCall);
    for (const [at, delta] of deltas.entries())
      this.push(delta, responseId, isNameless ? this.#calls[first + at] : undefined);
  }

  push(delta: JsonObject, responseId: string, meant?: OpenCall): void {
    const custom = asObject(delta['custom']);
    const inner = custom ?? asObject(delta['function']) ?? {};
    const id = asString(delta['id']) ?? '';
    const name = asString(inner['name']) ?? '';
    const piece = custom ? (asString(inner['input']) ?? '') : argumentsText(inner['arguments']);
    const known = meant ?? this.#find(asCount(delta['index']), id, name, piece);
    // Some servers write out every field they know, empty: that is no call.
    if (!known && id === '' && name === '' && piece === '') return;
    const call = known ?? this.#begin(delta, id, name, custom !== undefined, responseId);
    this.#complete(call, id, name);
    const { state } = decodeToolState(delta);
    if (state) call.part.state = state;
    if (custom) call.part.waiting.push(piece);
    else this.#append(call, piece);
  }

  /** Arguments are one JSON value: what comes after its end could only break it. */
  #append(call: OpenCall, piece: string): void {
    if (call.progress.whole) return;
    if (!call.progress.begun && saysNoArguments(piece)) {
      call.placeholder = true;
      return;
    }
    call.progress.push(piece);
    call.part.waiting.push(piece);
  }

  #find(index: number | undefined, id: string, name: string, piece: string): OpenCall | undefined {
    const known =
      index === undefined
        ? this.#calls.findLast((call) => id !== '' && call.id === id)
        : this.#byIndex.get(index);
    if (known) return this.#isOther(known, id, name, piece) ? undefined : known;
    if (index !== undefined || id !== '') return undefined;
    const last = this.#calls.at(-1);
    const repeats = last?.name === name && last.progress.begun && !last.progress.whole;
    return name === '' || repeats ? last : undefined;
  }

  /** Whether a delta under the index of a call begins another one: by its id, or after whole arguments. */
  #isOther(known: OpenCall, id: string, name: string, piece: string): boolean {
    if (name === '') return false;
    const { begun, whole } = known.progress;
    if (id !== '' && known.id !== '') {
      // Some servers make a new id for each piece.
      const continues = known.name === name && begun && !whole;
      return known.id !== id && !continues;
    }
    return (whole || known.placeholder) && piece !== '';
  }

  #begin(
    delta: JsonObject,
    id: string,
    name: string,
    custom: boolean,
    responseId: string,
  ): OpenCall {
    const position = this.#calls.length;
    const { extraContent } = decodeToolState(delta);
    const head: ToolCallPart = {
      kind: 'tool-call',
      id: id === '' ? madeToolId(responseId, this.#choice, position, name) : id,
      name,
      input: '',
      ...(custom ? { custom } : {}),
      ...(extraContent ? { extensions: { extra_content: extraContent } } : {}),
    };
    const part = this.#queue.open(`tool:${position}`, head);
    const progress = new JsonProgress();
    const call: OpenCall = { part, progress, id, name, placeholder: false };
    part.whole = () => progress.whole;
    part.ready = () => call.name !== '';
    this.#calls.push(call);
    const index = asCount(delta['index']);
    if (index !== undefined) this.#byIndex.set(index, call);
    return call;
  }

  /** Takes an id or a name that comes late, as long as the part is not out. */
  #complete(call: OpenCall, id: string, name: string): void {
    if (call.part.index !== undefined || call.part.head.kind !== 'tool-call') return;
    const late = {
      ...(call.id === '' && id !== '' ? { id } : {}),
      ...(call.name === '' && name !== '' ? { name } : {}),
    };
    if (call.id === '') call.id = id;
    if (call.name === '') call.name = name;
    call.part.head = { ...call.part.head, ...late };
  }
}

function namesNoCall(delta: JsonObject): boolean {
  const { name } = asObject(delta['custom']) ?? asObject(delta['function']) ?? {};
  return !name && !delta['id'] && asCount(delta['index']) === undefined;
}
