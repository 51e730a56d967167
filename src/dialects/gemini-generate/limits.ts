import { ReadError, type JsonValue } from '#std';

/** Bounds of a request in this dialect; beyond them it is refused with the path of the field. */
export const contentsMax = 100_000;
export const partsMax = 20_000;
export const toolsMax = 10_000;

/** Characters of an answer kept to find citations in; of longer ones only Gemini's clients hear. */
export const citableCharactersMax = 4 * 1024 * 1024;

/** Characters of arguments that come in pieces: a call is handed on whole. */
export const argumentCharactersMax = 16 * 1024 * 1024;

export function boundedList(
  list: readonly JsonValue[],
  max: number,
  path: string,
): readonly JsonValue[] {
  if (list.length > max) throw new ReadError(path, `expected at most ${max} elements`);
  return list;
}

/** Sources, and places that cite them, that the frames of one stream may name in all. */
export const sourcesMax = 2_000;
