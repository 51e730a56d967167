/** Decimal numbers as text: prices never pass through a float. */

/**
 * Moves the decimal point to the right by `places`: `shiftDecimal(0.00000175, 6)` is `"1.75"`. Takes a
 * number as JSON has it (its shortest text is exact) and returns no trailing zeros. `undefined` for
 * anything that is no finite, non-negative number.
 */
export function shiftDecimal(value: unknown, places: number): string | undefined {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) return undefined;
  const [mantissa = '', exponent = '0'] = String(value).toLowerCase().split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  const digits = whole + fraction;
  const point = whole.length + Number(exponent) + places;
  const padded = digits.padStart(digits.length + Math.max(0, -point), '0').padEnd(point, '0');
  const at = Math.max(0, point);
  const left = padded.slice(0, at).replace(/^0+(?=\d)/, '') || '0';
  const right = padded.slice(at).replace(/0+$/, '');
  return right === '' ? left : `${left}.${right}`;
}

/** Whether two decimal texts are the same number: `1` and `1.0`. */
export function sameDecimal(left: string | undefined, right: string | undefined): boolean {
  return normal(left) === normal(right);
}

function normal(text: string | undefined): string | undefined {
  if (text === undefined || !text.includes('.')) return text;
  return text.replace(/0+$/, '').replace(/\.$/, '');
}
