import type { Clock, Random } from './clock.ts';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

/** Makes ids `prefix_` + 10 time characters + 14 random ones: sortable by time, 70 random bits. */
export type NewId = (prefix: string) => string;

export function createNewId(clock: Clock, random: Random): NewId {
  let timeMs = -1;
  let time = '';
  return (prefix) => {
    const nowMs = Math.trunc(clock.now());
    if (nowMs !== timeMs) {
      timeMs = nowMs;
      time = encodeTime(nowMs);
    }
    return `${prefix}_${time}${encodeRandom(random, 14)}`;
  };
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

/** All pairs of characters: ten bits at once. */
const pairs = Array.from(
  { length: 1024 },
  (_, index) => alphabet.charAt(index >> 5) + alphabet.charAt(index & 31),
);

function encodeRandom(random: Random, length: number): string {
  let text = '';
  while (text.length < length) {
    const bits = Math.floor(random() * 2 ** 20);
    text += (pairs[bits >> 10] ?? '') + (pairs[bits & 1023] ?? '');
  }
  return text.slice(0, length);
}
