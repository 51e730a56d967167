import { fail, gatewayError, GatewayFailure } from '#canonical';
import { UpstreamFailure } from './failure.ts';
import { checkUrl } from './guard.ts';
import { JoinedAbort } from './joined-abort.ts';
import { mediaKind, sniffMediaType, type MediaKind } from './media-type.ts';
import type { Upstream, UpstreamResponse } from './transport.ts';

/** Media fetched for a client. */
export type FetchedMedia = { readonly bytes: Uint8Array; readonly mimeType: string };

/** Fetches what clients name by URL, under the guard. */
export type Egress = {
  /**
   * Fetches an image, sound, film or PDF. Follows at most three redirects, each checked anew. The
   * media type is read from the bytes. Throws GatewayFailure: `forbidden_url` when the guard
   * refuses, `invalid_request` when the answer is no such media. Nothing of the answer is told.
   */
  fetchMedia(
    url: string,
    wish?: { readonly kinds?: readonly MediaKind[]; readonly signal?: AbortSignal },
  ): Promise<FetchedMedia>;
};

export type EgressSettings = {
  readonly upstream: Upstream;
  /** 20 MiB unless told. */
  readonly mediaBytesMax?: number;
  /** For one fetch with its redirects; 10 s unless told. */
  readonly totalMs?: number;
  /** Ports besides 443 (and 80 with `allowPrivate`). */
  readonly ports?: readonly number[];
  /** Also private addresses and plain http: only for closed installations and tests. */
  readonly allowPrivate?: boolean;
};

const redirectsMax = 3;
const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Creates the guard for URLs of clients. */
export function createEgress(settings: EgressSettings): Egress {
  const {
    upstream,
    mediaBytesMax = 20 * 2 ** 20,
    totalMs = 10_000,
    allowPrivate = false,
  } = settings;
  const ports = new Set([443, 80, ...(settings.ports ?? [])]);
  const policy = { allowPrivate, ports };

  async function get(url: string, signal: AbortSignal): Promise<UpstreamResponse> {
    checkUrl(url, policy);
    return await upstream.send({
      url,
      method: 'GET',
      headers: { accept: 'image/*, audio/*, video/*, application/pdf', 'user-agent': 'manifold' },
      timeouts: { connectMs: totalMs, headersMs: totalMs, idleMs: totalMs, totalMs },
      responseBytesMax: mediaBytesMax,
      closesConnection: true,
      allowPrivate,
      signal,
    });
  }

  async function follow(first: string, signal: AbortSignal): Promise<UpstreamResponse> {
    let url = first;
    for (let redirects = 0; ; redirects++) {
      const answer = await get(url, signal);
      if (answer.status === 200) return answer;
      answer.cancel();
      const location = redirectStatuses.has(answer.status) ? answer.header('location') : undefined;
      const next = location === undefined ? null : URL.parse(location, url);
      if (next === null) fail('invalid_request', 'the URL did not answer with a file');
      if (redirects === redirectsMax) fail('invalid_request', 'the URL redirects too often');
      url = next.href;
    }
  }

  async function fetchMedia(
    url: string,
    wish: { readonly kinds?: readonly MediaKind[]; readonly signal?: AbortSignal } = {},
  ): Promise<FetchedMedia> {
    // Bounds the heads of all redirects together; the body has its own limit.
    const deadline = new JoinedAbort(wish.signal === undefined ? [] : [wish.signal], totalMs);
    try {
      const answer = await follow(url, deadline.signal);
      const declared = Number(answer.header('content-length') ?? 0);
      if (declared > mediaBytesMax) {
        answer.cancel();
        fail('invalid_request', `the file at the URL exceeds ${mediaBytesMax} bytes`);
      }
      const bytes = await answer.collect(mediaBytesMax);
      const mimeType = sniffMediaType(bytes);
      const kind = mimeType === undefined ? undefined : mediaKind(mimeType);
      if (mimeType === undefined || kind === undefined || wish.kinds?.includes(kind) === false) {
        fail('invalid_request', 'the file at the URL is of no supported media type');
      }
      return { bytes, mimeType };
    } catch (error) {
      throw told(error, mediaBytesMax);
    } finally {
      deadline.release();
    }
  }

  return { fetchMedia };
}

/** What a client may learn of a failed fetch: no address, no bytes, no difference between closed ports. */
function told(error: unknown, bytesMax: number): unknown {
  if (!(error instanceof UpstreamFailure)) return error;
  if (error.kind === 'forbidden') {
    return new GatewayFailure(gatewayError('forbidden_url', 'the URL may not be fetched'), error);
  }
  const message =
    error.kind === 'too-large'
      ? `the file at the URL exceeds ${bytesMax} bytes`
      : 'the URL could not be fetched';
  return new GatewayFailure(gatewayError('invalid_request', message), error);
}
