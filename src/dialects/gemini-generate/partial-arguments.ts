import {
  asBoolean,
  asNumber,
  asObject,
  asObjects,
  asString,
  type JsonObject,
  type JsonValue,
} from '#std';
import { argumentCharactersMax } from './limits.ts';

/** Bounds of arguments that are built from pieces: a hostile path must not reserve memory. */
const depthMax = 64;
const indexMax = 10_000;
/** What a piece costs beside its text: an empty one is not free. */
const pieceCharacters = 64;

type Container = { [key: string]: JsonValue } | JsonValue[];

/**
 * Arguments of a call that come piece by piece (`streamFunctionCallArguments`): each piece names a
 * place by JSONPath (`$.a.b[0]`, `$['a']`) and a value; texts are appended.
 */
export class PartialArguments {
  readonly #root: { [key: string]: JsonValue } = {};
  #characters = 0;

  /** False when the arguments grew beyond their bound; the piece is not kept then. */
  add(pieces: JsonValue | undefined): boolean {
    for (const piece of asObjects(pieces)) {
      this.#characters += (asString(piece['stringValue'])?.length ?? 0) + pieceCharacters;
      if (this.#characters > argumentCharactersMax) return false;
      const steps = readPath(asString(piece['jsonPath']) ?? '');
      const value = pieceValue(piece);
      if (steps && value !== undefined) setAt(this.#root, steps, value);
    }
    return true;
  }

  /** Members that came whole, in `args`. */
  merge(args: JsonValue | undefined): void {
    for (const [key, value] of Object.entries(asObject(args) ?? {}))
      if (value !== undefined) setAt(this.#root, [key], value);
  }

  /** The arguments so far, as JSON text. */
  text(): string {
    return JSON.stringify(this.#root);
  }
}

function pieceValue(piece: JsonObject): JsonValue | undefined {
  if ('nullValue' in piece) return null;
  return (
    asString(piece['stringValue']) ??
    asNumber(piece['numberValue']) ??
    asBoolean(piece['boolValue'])
  );
}

function readPath(path: string): readonly (string | number)[] | undefined {
  if (!path.startsWith('$')) return undefined;
  const steps: (string | number)[] = [];
  const pattern = /\.([^.[\]]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]/gy;
  let position = 1;
  while (position < path.length) {
    pattern.lastIndex = position;
    const match = pattern.exec(path);
    if (!match || steps.length >= depthMax) return undefined;
    const [, name, index, single, double] = match;
    steps.push(
      index === undefined ? (name ?? single ?? double ?? '') : Math.min(Number(index), indexMax),
    );
    position = pattern.lastIndex;
  }
  return steps.length > 0 ? steps : undefined;
}

function setAt(root: Container, steps: readonly (string | number)[], value: JsonValue): void {
  let container = root;
  for (const [index, step] of steps.entries()) {
    const next = steps[index + 1];
    if (next === undefined) setMember(container, step, value);
    else container = childOf(container, step, typeof next === 'number');
  }
}

function childOf(container: Container, step: string | number, isArray: boolean): Container {
  const existing = getMember(container, step);
  if (typeof existing === 'object' && existing !== null) return existing as Container;
  const created: Container = isArray ? [] : {};
  setMember(container, step, created, true);
  return created;
}

function getMember(container: Container, step: string | number): JsonValue | undefined {
  if (Array.isArray(container)) return typeof step === 'number' ? container[step] : undefined;
  return Object.hasOwn(container, step) ? container[String(step)] : undefined;
}

function setMember(
  container: Container,
  step: string | number,
  value: JsonValue,
  replaces = false,
): void {
  const existing = getMember(container, step);
  const joined =
    !replaces && typeof existing === 'string' && typeof value === 'string'
      ? existing + value
      : value;
  if (Array.isArray(container)) {
    if (typeof step === 'number') container[step] = joined;
  } else
    Object.defineProperty(container, String(step), {
      value: joined,
      enumerable: true,
      configurable: true,
      writable: true,
    });
}
