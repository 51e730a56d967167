/**
 * API keys: `sk-mf-` + 43 base-62 characters (256 random bits) + 6 characters of CRC-32, so that a
 * scanner can tell a real key from a look-alike without asking us. Only a keyed digest is stored.
 */

import { createHmac, hash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

const prefix = 'sk-mf-';
const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const secretLength = 43;
const checksumLength = 6;

export function mintKey(random: (bytes: number) => Uint8Array = randomBytes): string {
  const secret = toBase62(BigInt(`0x${Buffer.from(random(32)).toString('hex')}`), secretLength);
  return prefix + secret + checksumOf(secret);
}

/** Whether the text can be one of our keys: form and checksum. Cheap, before any look-up. */
export function isWellFormedKey(text: string): boolean {
  if (text.length !== prefix.length + secretLength + checksumLength || !text.startsWith(prefix))
    return false;
  const secret = text.slice(prefix.length, prefix.length + secretLength);
  return /^[0-9A-Za-z]+$/.test(secret) && text.endsWith(checksumOf(secret));
}

/** The form in which a key is stored and looked up, hexadecimal. `pepper` keeps a stolen database useless. */
export function digestOfKey(key: string, pepper: Uint8Array): string {
  return createHmac('sha256', pepper).update(key).digest('hex');
}

/**
 * Under which a key is remembered in this process, never stored: a keyed digest costs ten times as
 * much, and a key has too many bits to be guessed from either.
 */
export function fingerprintOfKey(key: string): string {
  return hash('sha256', key, 'base64');
}

function checksumOf(secret: string): string {
  return toBase62(BigInt(crc32(secret)), checksumLength);
}

function toBase62(value: bigint, length: number): string {
  let rest = value;
  let text = '';
  while (text.length < length) {
    text = digits.charAt(Number(rest % 62n)) + text;
    rest /= 62n;
  }
  return text;
}
