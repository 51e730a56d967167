/**
 * The size of a text in units of which a modern byte-pair vocabulary makes about 3.6 to a token: 1 for
 * an ASCII character, more for characters that such vocabularies know less of. Called for every piece
 * of every stream, so it is one look into a table for each UTF-16 unit, and allocates nothing.
 */

/**
 * Last UTF-16 units of ranges, and the size of one unit in each. Ranges end where a block of 64 does,
 * sizes are whole quarters. Measured against o200k, a little above it like English is; cl100k needs
 * twice as much and more.
 */
const sizes: readonly (readonly [last: number, size: number])[] = [
  [0x7f, 1],
  // Latin with marks.
  [0x27f, 1.5],
  [0x37f, 2],
  // Greek, Cyrillic, then Armenian, Hebrew, Arabic, and the scripts of India.
  [0x3ff, 1.5],
  [0x53f, 1.25],
  [0xdff, 1.5],
  // Thai; Lao and Tibetan; Burmese; Georgian; single Korean letters.
  [0xe7f, 1.75],
  [0xfff, 6],
  [0x10bf, 2],
  [0x10ff, 1.5],
  [0x11ff, 3.5],
  // Scripts that are written as their bytes, Ethiopic for one, and among them Khmer.
  [0x177f, 7.5],
  [0x17ff, 2.5],
  [0x1dff, 6],
  [0x1eff, 1.5],
  [0x1fff, 3.5],
  // Dashes and quotation marks; mathematics, arrows, pictures, and between them lines of tables.
  [0x207f, 2],
  [0x24ff, 4],
  [0x257f, 2],
  [0x2bff, 4],
  [0x2dff, 6],
  // Chinese and Japanese, rare ideographs between them.
  [0x33ff, 2.75],
  [0x4dbf, 10],
  [0x9fff, 2.75],
  [0xabff, 6],
  // Korean.
  [0xd7ff, 2.25],
  // First halves of surrogate pairs: pictures, then rare ideographs. The second half tells nothing.
  [0xd83f, 4.25],
  [0xdbff, 11.75],
  [0xdfff, 2.5],
  // Private use, rare forms, and the wide marks of Chinese and Japanese.
  [0xf8ff, 10],
  [0xfeff, 4],
  [0xffff, 2.75],
];

/** What a unit adds to one, by block of 64 units, in quarters: sums of whole numbers are exact and cheap. */
const excess = new Uint8Array(1_024);
for (const [last, size] of sizes.toReversed()) excess.fill((size - 1) * 4, 0, (last + 1) >> 6);

/** Size of a text that was generated. */
export function textSize(text: string): number {
  let quarters = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit > 0x7f) quarters += excess[unit >> 6] ?? 0;
  }
  return text.length + quarters / 4;
}

/** Where a JSON string ends, and the size of the text that it stands for. */
export type JsonStringSize = {
  /** Offset of the quote that closes it, or the end of the text. */
  readonly end: number;
  readonly size: number;
};

/**
 * Measures the JSON string whose contents begin at `start`. An escape counts as the unit that it
 * stands for: whether a vendor escapes what is not ASCII must not be seen on a bill.
 */
export function jsonStringSize(json: string, start: number): JsonStringSize {
  let units = 0;
  let quarters = 0;
  let end = start;
  while (end < json.length) {
    let unit = json.charCodeAt(end);
    if (unit === 0x22) break;
    if (unit !== 0x5c) end += 1;
    else if (json.charCodeAt(end + 1) !== 0x75) end += 2;
    else {
      unit = hexUnit(json, end + 2);
      end += 6;
    }
    units += 1;
    if (unit > 0x7f) quarters += excess[unit >> 6] ?? 0;
  }
  return { end, size: units + quarters / 4 };
}

/** The unit that four hexadecimal digits name. */
function hexUnit(json: string, at: number): number {
  return (
    (hexDigit(json.charCodeAt(at)) << 12) |
    (hexDigit(json.charCodeAt(at + 1)) << 8) |
    (hexDigit(json.charCodeAt(at + 2)) << 4) |
    hexDigit(json.charCodeAt(at + 3))
  );
}

/** Letters, capital or small, are the ones from 0x40 on: their low bits begin with 1. */
function hexDigit(code: number): number {
  return ((code & 0xf) + (code >> 6) * 9) & 0xf;
}
