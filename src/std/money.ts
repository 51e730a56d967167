/**
 * Money: integers of nano-USD (10⁻⁹ US dollar). A safe integer holds $9.0 million, the most
 * that a wallet may have; every constructor asserts it. Products, and sums over wallets or years, are BigInt or the database's.
 */

declare const nanoUsdBrand: unique symbol;
export type NanoUsd = number & { readonly [nanoUsdBrand]: true };

export const zeroNanoUsd = 0 as NanoUsd;
export const nanoUsdPerUsd = 1_000_000_000;

/** Asserts that `amount` is an exact integer. Throws RangeError otherwise: a bug, never user input. */
export function nanoUsd(amount: number | bigint): NanoUsd {
  const value = Number(amount);
  if (!Number.isSafeInteger(value))
    throw new RangeError(`not an exact amount of nano-USD: ${amount}`);
  return value as NanoUsd;
}

export function addNanoUsd(left: NanoUsd, right: NanoUsd): NanoUsd {
  return nanoUsd(left + right);
}

export function subtractNanoUsd(left: NanoUsd, right: NanoUsd): NanoUsd {
  return nanoUsd(left - right);
}

/** Exact decimal US dollars, without trailing zeros: `1500000` → `"0.0015"`. Legal as a JSON number. */
export function formatUsd(amount: NanoUsd): string {
  const negative = amount < 0;
  const digits = String(Math.abs(amount)).padStart(10, '0');
  const whole = digits.slice(0, -9);
  const fraction = digits.slice(-9).replace(/0+$/, '');
  return `${negative ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}

/**
 * Reads decimal US dollars exactly (`"12.5"`, `"0.000001"`). `undefined` when it is not such a number, or
 * more than an amount can be.
 */
export function parseUsd(text: string): NanoUsd | undefined {
  const match = /^(-?)(\d{1,7})(?:\.(\d{1,9}))?$/.exec(text.trim());
  if (!match) return undefined;
  const [, sign, whole = '0', fraction = ''] = match;
  const amount = BigInt(whole) * BigInt(nanoUsdPerUsd) + BigInt(fraction.padEnd(9, '0'));
  if (amount > Number.MAX_SAFE_INTEGER) return undefined;
  return nanoUsd(sign === '-' ? -amount : amount);
}
