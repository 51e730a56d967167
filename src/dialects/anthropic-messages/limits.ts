/** Bounds of a request in this dialect; beyond them it is refused with the path of the field. */
export const messagesMax = 100_000;
export const partsMax = 20_000;
export const toolsMax = 10_000;

/** Characters that a stream may gather in blocks that are handed on whole (native blocks, citations). */
export const gatheredCharactersMax = 16 * 1024 * 1024;

/** Cache marks that a request may carry (docs: prompt caching). */
export const cacheMarksMax = 4;

/** Most blocks of one streamed answer; their indexes are remembered. */
export const blocksMax = 10_000;
