import type { IncomingMessage } from 'node:http';
import type { Transform } from 'node:stream';
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
} from 'node:zlib';
import { gatewayError, type GatewayError } from '#canonical';
import type { HttpLimits } from './settings.ts';

/** The bytes of all request bodies together. What is taken must be given back exactly once. */
export type HeldBytes = {
  /** Reserves; false when the bound would be passed, and then nothing is reserved. */
  take(bytes: number): boolean;
  give(bytes: number): void;
  readonly held: number;
  readonly free: number;
};

/** Creates the account of held bytes with its bound. */
export function createHeldBytes(max: number): HeldBytes {
  let held = 0;
  return {
    take(bytes) {
      if (held + bytes > max) return false;
      held += bytes;
      return true;
    },
    give(bytes) {
      held -= bytes;
      if (held < 0) throw new RangeError('more bytes were given back than taken');
    },
    get held() {
      return held;
    },
    get free() {
      return max - held;
    },
  };
}

export const emptyBody: Uint8Array = new Uint8Array(0);

const encodings: ReadonlySet<string> = new Set(['gzip', 'x-gzip', 'deflate', 'br', 'zstd']);

/** What the head of a request says about its body. */
export type BodyHead = {
  /** Undefined for a chunked body. */
  readonly contentLength: number | undefined;
  readonly encoding: string | undefined;
};

/** What came of a body. `takenBytes` is what the caller must give back, also after a failure. */
export type BodyOutcome = {
  readonly takenBytes: number;
  readonly body: Uint8Array;
  /** Undefined on success; 'gone' when the client left before the end. */
  readonly failure: GatewayError | 'gone' | undefined;
};

/**
 * Refuses from the head alone what could never be accepted, before a byte of the body is read:
 * 413 by content-length, 415 by content-encoding, 503 when the held bytes would pass their bound.
 */
export function vetBodyHead(
  head: BodyHead,
  bytesMax: number,
  held: HeldBytes,
): GatewayError | undefined {
  const { contentLength = 0, encoding } = head;
  if (encoding !== undefined && !encodings.has(encoding)) {
    return gatewayError(
      'unsupported_media_type',
      'content-encoding must be gzip, deflate, br, zstd or absent',
    );
  }
  if (contentLength > bytesMax) return tooLarge(bytesMax);
  if (contentLength > held.free) return crowded();
  return undefined;
}

function tooLarge(bytesMax: number): GatewayError {
  return gatewayError('body_too_large', `the request body exceeds ${bytesMax} bytes`);
}

function tooDense({ decompressionRatioMax }: HttpLimits): GatewayError {
  return gatewayError(
    'body_too_large',
    `the request body is more than ${decompressionRatioMax} times as large as it was sent; send it uncompressed`,
  );
}

function crowded(): GatewayError {
  return gatewayError('overloaded', 'too many request bytes are waiting; try again shortly', {
    retryAfterMs: 1_000,
  });
}

/** One body being received; whoever reads the connection hands the pieces in. */
export class BodyUpload {
  readonly #bytesMax: number;
  readonly #held: HeldBytes;
  readonly #done: (outcome: BodyOutcome) => void;
  readonly #startedAt: number;
  readonly #pieces: Uint8Array[] = [];
  receivedBytes = 0;
  #finished = false;

  constructor(
    bytesMax: number,
    held: HeldBytes,
    startedAt: number,
    done: (outcome: BodyOutcome) => void,
  ) {
    this.#bytesMax = bytesMax;
    this.#held = held;
    this.#startedAt = startedAt;
    this.#done = done;
  }

  /** Takes the pieces from `node:http`. */
  readFrom(request: IncomingMessage): void {
    request.on('data', (piece: Buffer) => this.take(piece));
    request.once('end', () => this.complete());
    request.once('error', () => this.fail('gone'));
    request.once('close', () => this.fail('gone'));
  }

  complete(): void {
    this.#finish(undefined);
  }

  /** Gives the upload up for another reason than its bytes. */
  fail(failure: GatewayError | 'gone'): void {
    this.#finish(failure);
  }

  /** Gives up an upload that is slower than the limits allow. */
  checkPace(now: number, limits: HttpLimits): void {
    const { uploadTimeoutMs, uploadBytesPerSecondMin } = limits;
    const allowedMs = uploadTimeoutMs + (this.receivedBytes / uploadBytesPerSecondMin) * 1_000;
    if (now - this.#startedAt <= allowedMs) return;
    this.#finish(gatewayError('request_timeout', 'the request body arrives too slowly'));
  }

  /** A piece more. The caller gives it away: it is empty afterwards if its memory is all its own. */
  take(piece: Uint8Array): void {
    if (this.#finished) return;
    if (this.receivedBytes + piece.length > this.#bytesMax) this.#finish(tooLarge(this.#bytesMax));
    else if (!this.#held.take(piece.length)) this.#finish(crowded());
    else {
      this.receivedBytes += piece.length;
      this.#pieces.push(piece);
    }
  }

  #finish(failure: BodyOutcome['failure']): void {
    if (this.#finished) return;
    this.#finished = true;
    const body = failure === undefined ? joined(this.#pieces, this.receivedBytes) : emptyBody;
    this.#pieces.length = 0;
    this.#done({ takenBytes: this.receivedBytes, body, failure });
  }
}

/**
 * One after the other, and the memory of the pieces is free at once: with them the large bodies of a few
 * requests are what makes V8 look through its whole heap.
 */
function joined(pieces: readonly Uint8Array[], byteCount: number): Uint8Array {
  const [first = emptyBody] = pieces;
  if (pieces.length < 2) return first;
  const body = Buffer.concat(pieces, byteCount);
  for (const { buffer, byteLength } of pieces)
    if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) buffer.transfer(0);
  return body;
}

/**
 * Undoes one layer of content-encoding. The output is bounded by `bytesMax` and, above 4 MiB, by
 * the ratio limit; its bytes replace the compressed ones in the account of held bytes.
 */
export function decompressBody(
  outcome: BodyOutcome,
  encoding: string,
  bytesMax: number,
  limits: HttpLimits,
  held: HeldBytes,
): Promise<BodyOutcome> {
  const ratioBytes = Math.max(4 * 2 ** 20, outcome.body.length * limits.decompressionRatioMax);
  const outputMax = Math.min(bytesMax, ratioBytes);
  const decoder = createDecoder(encoding);
  const pieces: Buffer[] = [];
  let outputBytes = 0;
  return new Promise((resolve) => {
    let settled = false;
    function settle(failure: BodyOutcome['failure']): void {
      if (settled) return;
      settled = true;
      decoder.destroy();
      held.give(outcome.takenBytes);
      const body = failure === undefined ? Buffer.concat(pieces, outputBytes) : emptyBody;
      resolve({ takenBytes: outputBytes, body, failure });
    }
    decoder.on('data', (piece: Buffer) => {
      if (settled) return;
      if (outputBytes + piece.length > outputMax)
        settle(outputMax < bytesMax ? tooDense(limits) : tooLarge(outputMax));
      else if (!held.take(piece.length)) settle(crowded());
      else {
        outputBytes += piece.length;
        pieces.push(piece);
      }
    });
    decoder.once('end', () => settle(undefined));
    decoder.once('error', () => {
      settle(gatewayError('invalid_request', `the body is no valid ${encoding} data`));
    });
    decoder.end(outcome.body);
  });
}

function createDecoder(encoding: string): Transform {
  const chunkSize = 65_536;
  if (encoding === 'br') return createBrotliDecompress({ chunkSize });
  if (encoding === 'zstd') {
    // 8 MiB is the window that RFC 8878 asks every decoder to support.
    return createZstdDecompress({ chunkSize, params: { [constants.ZSTD_d_windowLogMax]: 23 } });
  }
  return encoding === 'deflate' ? createInflate({ chunkSize }) : createGunzip({ chunkSize });
}
