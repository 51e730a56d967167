import { asBuffer } from './framing.ts';
import type { JsonMember, JsonScan } from './json-scan.ts';

/**
 * One change to a top-level member: `value` is JSON text that replaces the member's value or is
 * inserted when the member is absent; `undefined` deletes the member.
 */
export type JsonEdit = { readonly key: string; readonly value: string | undefined };

type Cut = { readonly start: number; readonly end: number; readonly insert: string };

/**
 * Applies edits to a scanned top-level object without re-serialising it. Returns the new body as
 * a list of pieces, most of them views on `body`; the bytes that no edit names stay as they are.
 * Returns undefined when the scan is no plain object (an array, a scalar, `unusual`): such a body
 * must be parsed and written anew. Two edits of one key throw RangeError.
 */
export function spliceJson(
  body: Uint8Array,
  scan: JsonScan,
  edits: readonly JsonEdit[],
): readonly Uint8Array[] | undefined {
  if (!scan.ok || scan.kind !== 'object' || scan.unusual) return undefined;
  const { members } = scan;
  const cuts: Cut[] = [];
  const deleted = new Set<number>();
  let appended = '';
  for (const [position, { key, value }] of edits.entries()) {
    if (edits.findIndex((edit) => edit.key === key) !== position)
      throw new RangeError(`two edits of the member "${key}"`);
    const index = members.findIndex((member) => member.key === key);
    const member = members[index];
    if (member === undefined) {
      if (value !== undefined) appended += `,${JSON.stringify(key)}:${value}`;
    } else if (value === undefined) deleted.add(index);
    else cuts.push({ start: member.valueStart, end: member.valueEnd, insert: value });
  }
  if (deleted.size > 0) cuts.push(...deletions(members, deleted));
  if (appended !== '') {
    const insert = members.length === deleted.size ? appended.slice(1) : appended;
    cuts.push({ start: scan.closeOffset, end: scan.closeOffset, insert });
  }
  if (cuts.length > 1) cuts.sort((left, right) => left.start - right.start || left.end - right.end);
  return assemble(asBuffer(body), cuts);
}

/**
 * Cuts out members with exactly the commas that keep the object well-formed: a member that
 * follows a kept one goes with the comma before it, the others with the comma after them.
 */
function deletions(members: readonly JsonMember[], deleted: ReadonlySet<number>): Cut[] {
  const cuts: Cut[] = [];
  let keptEnd: number | undefined;
  for (const [index, member] of members.entries()) {
    if (!deleted.has(index)) {
      keptEnd = member.valueEnd;
      continue;
    }
    const before = members[index - 1];
    const after = members[index + 1];
    if (keptEnd !== undefined && before !== undefined) {
      cuts.push({ start: before.valueEnd, end: member.valueEnd, insert: '' });
    } else {
      cuts.push({ start: member.keyStart, end: after?.keyStart ?? member.valueEnd, insert: '' });
    }
  }
  return cuts;
}

function assemble(body: Buffer, cuts: readonly Cut[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let position = 0;
  for (const { start, end, insert } of cuts) {
    if (start > position) pieces.push(body.subarray(position, start));
    if (insert !== '') pieces.push(Buffer.from(insert));
    position = Math.max(position, end);
  }
  if (position < body.length) pieces.push(body.subarray(position));
  return pieces;
}

/** The bytes of a top-level member's value, or undefined when it is absent. */
export function memberBytes(body: Uint8Array, scan: JsonScan, key: string): Uint8Array | undefined {
  if (!scan.ok) return undefined;
  const member = scan.members.findLast((candidate) => candidate.key === key);
  return member && body.subarray(member.valueStart, member.valueEnd);
}

/** Sum of the lengths of pieces, for content-length. */
export function piecesLength(pieces: readonly Uint8Array[]): number {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  return length;
}
