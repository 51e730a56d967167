/** Vectors as JSON numbers and as base64 of little-endian float32, which the official SDKs ask for. */

const bytesPerFloat = 4;

export function encodeVector(vector: readonly number[]): string {
  const bytes = Buffer.allocUnsafe(vector.length * bytesPerFloat);
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * bytesPerFloat);
  return bytes.toString('base64');
}

/**
 * Reads base64. Nearly all vendors mean float32; bytes that make no sense as such (Perplexity's
 * quantised vectors) are read as one signed number each.
 */
export function decodeVector(text: string): readonly number[] {
  const bytes = Buffer.from(text, 'base64');
  return readFloats(bytes) ?? Array.from(bytes, (byte) => (byte > 127 ? byte - 256 : byte));
}

/** Components of an embedding are of the order of one; bytes of another meaning give wild exponents. */
const componentMax = 1e6;

function readFloats(bytes: Buffer): readonly number[] | undefined {
  if (bytes.length % bytesPerFloat !== 0) return undefined;
  const vector: number[] = [];
  for (let offset = 0; offset < bytes.length; offset += bytesPerFloat) {
    const value = bytes.readFloatLE(offset);
    if (!Number.isFinite(value) || Math.abs(value) > componentMax) return undefined;
    vector.push(value);
  }
  return vector;
}
