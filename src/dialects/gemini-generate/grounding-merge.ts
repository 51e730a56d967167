/**
 * What the frames of a stream say of the answer's sources. Most say all of it in the last one; file search and
 * some others tell of each search when it was made, and count its sources on from those before.
 */

import { asArray, asCount, asObject, asObjects, type JsonObject, type JsonValue } from '#std';
import { sourcesMax } from './limits.ts';

type Values = readonly JsonValue[];

/** The fields of a candidate so far, with those of its next frame. */
export function mergeCandidate(earlier: JsonObject, later: JsonObject): JsonObject {
  const merged: Record<string, JsonValue | undefined> = { ...earlier, ...later };
  const grounding = pair(earlier, later, 'groundingMetadata');
  if (grounding) merged['groundingMetadata'] = mergeGrounding(...grounding);
  for (const field of ['citationMetadata', 'urlContextMetadata']) {
    const lists = pair(earlier, later, field);
    if (lists) merged[field] = mergeLists(...lists);
  }
  return merged;
}

function pair(
  earlier: JsonObject,
  later: JsonObject,
  field: string,
): readonly [JsonObject, JsonObject] | undefined {
  const before = asObject(earlier[field]);
  const after = asObject(later[field]);
  return before && after ? [before, after] : undefined;
}

function mergeGrounding(earlier: JsonObject, later: JsonObject): JsonObject {
  const chunks = asArray(earlier['groundingChunks']) ?? [];
  const added = asArray(later['groundingChunks']) ?? [];
  const supports = asArray(earlier['groundingSupports']) ?? [];
  const addedSupports = asArray(later['groundingSupports']) ?? [];
  const merged = mergeLists(earlier, later);
  if (chunks.length === 0) return merged;
  const countsOn = highestIndex(addedSupports) >= added.length;
  if (!countsOn && startsWith(added, chunks))
    return {
      ...merged,
      groundingChunks: added,
      groundingSupports: addedSupports.length > 0 ? addedSupports : supports,
    };
  const shifted = countsOn
    ? addedSupports
    : addedSupports.map((each) => shift(each, chunks.length));
  return {
    ...merged,
    groundingChunks: bounded(chunks, added),
    groundingSupports: bounded(supports, shifted),
  };
}

/** Lists hold what either says, other fields what the later one does. */
function mergeLists(earlier: JsonObject, later: JsonObject): JsonObject {
  const merged: Record<string, JsonValue | undefined> = { ...earlier, ...later };
  for (const [key, value] of Object.entries(later)) {
    const before = asArray(earlier[key]);
    const after = asArray(value);
    if (before && after) merged[key] = union(before, after);
  }
  return merged;
}

function union(before: Values, after: Values): Values {
  if (after.length === 0) return before;
  const known = new Set(before.map((value) => JSON.stringify(value)));
  return bounded(
    before,
    after.filter((value) => !known.has(JSON.stringify(value))),
  );
}

function bounded(before: Values, after: Values): Values {
  return [...before, ...after].slice(0, sourcesMax);
}

function startsWith(list: Values, start: Values): boolean {
  return (
    list.length >= start.length &&
    start.every((value, index) => JSON.stringify(value) === JSON.stringify(list[index]))
  );
}

/** -1 where nothing is referred to. */
function highestIndex(supports: Values): number {
  let highest = -1;
  for (const support of asObjects(supports))
    for (const index of asArray(support['groundingChunkIndices']) ?? [])
      highest = Math.max(highest, asCount(index) ?? -1);
  return highest;
}

function shift(support: JsonValue, by: number): JsonValue {
  const object = asObject(support);
  const indices = asArray(object?.['groundingChunkIndices']);
  if (!object || !indices) return support;
  return {
    ...object,
    groundingChunkIndices: indices.map((index) => (typeof index === 'number' ? index + by : index)),
  };
}
