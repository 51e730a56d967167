/** Lies about usage, told in the wire form of any dialect: in whole answers and in events of streams. */

import { asArray, asObject, parseJsonObject, type JsonObject, type JsonValue } from '#std';
import type { UsageFault } from './fault.ts';

/** What a lie makes of one reported number; `undefined`: this lie is about something else. */
function lieAbout(fault: UsageFault, value: number): JsonValue | undefined {
  switch (fault) {
    case 'null':
      return null;
    case 'zero':
      return 0;
    case 'negative':
      return -1 - value;
    case 'float':
      return value + 0.5;
    case 'string':
      return String(value);
    case 'huge':
      return 2 ** 63;
    case 'missing':
    case 'decreasing':
    case 'twice':
    case 'after_end':
    case 'in_error':
      return undefined;
  }
}

function mapNumbers(
  value: JsonValue | undefined,
  map: (value: number) => JsonValue,
): JsonValue | undefined {
  if (typeof value === 'number') return map(value);
  const list = asArray(value);
  if (list) return list.map((item) => mapNumbers(item, map) ?? null);
  const object = asObject(value);
  return object
    ? Object.fromEntries(
        Object.entries(object).map(([key, inner]) => [key, mapNumbers(inner, map)]),
      )
    : value;
}

const usageKeys = new Set(['usage', 'usageMetadata']);

/** The value with every usage object in it, at any depth, replaced. */
function mapUsage(
  value: JsonValue | undefined,
  map: (usage: JsonObject) => JsonValue | undefined,
): JsonValue | undefined {
  const object = asObject(value);
  if (!object) return value;
  const mapped = Object.entries(object).map(([key, inner]): [string, JsonValue | undefined] => {
    const usage = usageKeys.has(key) ? asObject(inner) : undefined;
    return [key, usage ? map(usage) : mapUsage(inner, map)];
  });
  return Object.fromEntries(mapped.filter(([, inner]) => inner !== undefined));
}

/** A whole answer with the lie in it; lies about the order of a stream leave it as it is. */
export function lieInWhole(wire: JsonObject, fault: UsageFault | JsonObject): JsonObject {
  const lie = (usage: JsonObject): JsonValue | undefined => {
    if (typeof fault !== 'string') return fault;
    return fault === 'missing' ? undefined : numbersLied(usage, fault);
  };
  return asObject(mapUsage(wire, lie)) ?? wire;
}

function numbersLied(usage: JsonObject, fault: UsageFault): JsonValue | undefined {
  return mapNumbers(usage, (value) => {
    const lied = lieAbout(fault, value);
    return lied === undefined ? value : lied;
  });
}

/** The events of a stream (server-sent, one or more in a piece) with the lie in them. */
export function lieInStream(
  pieces: readonly string[],
  fault: UsageFault | JsonObject,
): readonly string[] {
  if (typeof fault !== 'string') return mapEvents(pieces, () => fault);
  switch (fault) {
    case 'missing':
      return mapEvents(pieces, () => undefined);
    case 'decreasing':
      return withExtra(pieces, (usage) => mapNumbers(usage, (value) => value * 2), 'before');
    case 'twice':
      return withExtra(pieces, (usage) => usage, 'before');
    case 'after_end':
      return withExtra(pieces, (usage) => usage, 'after_end');
    case 'in_error':
      return withError(pieces);
    default:
      return mapEvents(pieces, (usage) => numbersLied(usage, fault));
  }
}

function mapEvents(
  pieces: readonly string[],
  map: (usage: JsonObject) => JsonValue | undefined,
): readonly string[] {
  return pieces.map((piece) =>
    piece.replace(/^data: (\{.*\})$/gm, (line, data: string) => {
      const wire = parseJsonObject(data);
      return wire ? `data: ${JSON.stringify(mapUsage(wire, map))}` : line;
    }),
  );
}

/** The event with the last usage a second time: before itself, or moved behind the end of the stream. */
function withExtra(
  pieces: readonly string[],
  map: (usage: JsonObject) => JsonValue | undefined,
  where: 'before' | 'after_end',
): readonly string[] {
  const events = pieces.join('').split(/(?<=\r?\n\r?\n)/);
  const at = events.findLastIndex(
    (event) => event.includes('"usage":{') || event.includes('"usageMetadata":{'),
  );
  const told = events[at];
  if (told === undefined) return pieces;
  const [extra = ''] = mapEvents([told], map);
  if (where === 'before') return events.toSpliced(at, 0, extra);
  const [silent = ''] = mapEvents([told], () => undefined);
  return [...events.with(at, silent), extra];
}

/** Half of the answer, then an error event with a usage object inside. */
function withError(pieces: readonly string[]): readonly string[] {
  const events = pieces.join('').split(/(?<=\r?\n\r?\n)/);
  const error = {
    type: 'error',
    code: 529,
    message: 'Overloaded',
    error: { type: 'overloaded_error', code: 529, status: 'UNAVAILABLE', message: 'Overloaded' },
  };
  const usage = {
    prompt_tokens: 1_000_000,
    completion_tokens: 1_000_000,
    input_tokens: 1_000_000,
    output_tokens: 1_000_000,
  };
  const usageMetadata = { promptTokenCount: 1_000_000, candidatesTokenCount: 1_000_000 };
  return [
    ...events.slice(0, Math.ceil(events.length / 2)),
    `event: error\ndata: ${JSON.stringify({ ...error, usage, usageMetadata })}\n\n`,
  ];
}
