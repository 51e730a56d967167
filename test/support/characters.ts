/** Arbitrary characters, for strings that must survive whatever stands in them. */

import fc from 'fast-check';

const surrogates = 0x800;

/**
 * Any code point but half a surrogate pair: what fast-check calls `binary`, whose table of the
 * million takes more than a second to build.
 */
export const anyCharacter: fc.Arbitrary<string> = fc
  .nat(0x10ffff - surrogates)
  .map((index) => String.fromCodePoint(index < 0xd800 ? index : index + surrogates));
