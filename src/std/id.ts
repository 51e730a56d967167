import type { Clock, Random } from './clock.ts';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

/** Makes ids `prefix_` + 10 time characters + 14 random ones: sortable by time, 70 random bits. */
export type NewId = (prefix: string) => string;

export function createNewId(clock: Clock, random: Random): NewId {
  return (prefix) => `${prefix}_${encodeTime(clock.now())}${encodeRandom(random, 14)}`;
}

function encodeTime(epochMs: number): string {
  let rest = Math.trunc(epochMs);
  let text = '';
  for (let position = 0; position < 10; position += 1) {
    text = alphabet.charAt(rest % 32) + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}

function encodeRandom(random: Random, length: number): string {
  let text = '';
  for (let position = 0; position < length; position += 1)
    text += alphabet.charAt(Math.floor(random() * 32));
  return text;
}
