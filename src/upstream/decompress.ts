import { Readable, type Transform } from 'node:stream';
import {
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
} from 'node:zlib';
import { UpstreamFailure } from './failure.ts';

const ratioMax = 100;
const freeBytes = 4 * 2 ** 20;

type Coding = 'gzip' | 'deflate' | 'br' | 'zstd' | 'several layers';

const codings: ReadonlyMap<string, Coding> = new Map([
  ['gzip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['deflate', 'deflate'],
  ['br', 'br'],
  ['zstd', 'zstd'],
]);

/**
 * How a body is compressed, by its `content-encoding`. Words that name no compression (`identity`, `utf-8`, nothing at
 * all) change no byte; whether it is an answer is seen by whoever reads it.
 */
export function codingOf(contentEncoding: string | undefined): Coding | undefined {
  if (contentEncoding === undefined) return undefined;
  const layers = contentEncoding.split(',').flatMap((word) => {
    const coding = codings.get(word.trim().toLowerCase());
    return coding === undefined ? [] : [coding];
  });
  return layers.length > 1 ? 'several layers' : layers[0];
}

/**
 * Undoes one layer of compression that an upstream applied although it was asked not to. More than
 * 4 MiB that are also more than 100 times the received bytes fail as 'too-large'; several layers and broken data
 * fail as 'protocol'.
 */
export async function* decompressed(
  body: AsyncIterable<Uint8Array>,
  coding: Coding,
): AsyncGenerator<Uint8Array> {
  const decoder = createDecoder(coding);
  if (decoder === undefined)
    throw new UpstreamFailure('protocol', 'the upstream compressed its answer twice', true);
  let receivedBytes = 0;
  let producedBytes = 0;
  let broken: unknown;
  async function* counted(): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of body) {
        receivedBytes += piece.length;
        yield piece;
      }
    } catch (error) {
      broken = error;
      throw error;
    }
  }
  const source = Readable.from(counted(), { objectMode: false });
  source.once('error', (error) => decoder.destroy(error));
  source.pipe(decoder);
  try {
    for await (const piece of decoder as AsyncIterable<Uint8Array>) {
      producedBytes += piece.length;
      if (producedBytes > freeBytes && producedBytes > receivedBytes * ratioMax) {
        throw new UpstreamFailure('too-large', 'the upstream sent a decompression bomb', true);
      }
      yield piece;
    }
  } catch (error) {
    if (error instanceof UpstreamFailure) throw error;
    if (broken instanceof UpstreamFailure) throw broken;
    throw new UpstreamFailure('protocol', 'the upstream sent broken compressed data', true, error);
  } finally {
    source.destroy();
    decoder.destroy();
  }
}

function createDecoder(coding: Coding): Transform | undefined {
  switch (coding) {
    case 'gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    case 'zstd':
      return createZstdDecompress();
    case 'several layers':
      return undefined;
  }
}
