import type { Clock } from '#std';
import { Agents, defaultPoolSettings, type PoolSettings } from './agents.ts';
import { collectBody, PulledBody, PumpedBody, type BodySink, type BodySource } from './body.ts';
import { OutboundCall, type CallOwner, type Patience, type UpstreamTimeouts } from './call.ts';
import { codingOf, decompressed } from './decompress.ts';
import { originOf } from './endpoints.ts';
import { classifyFailure, UpstreamFailure } from './failure.ts';
import {
  checkNameForProxy,
  checkUrl,
  systemResolve,
  type EgressPolicy,
  type Resolve,
} from './guard.ts';
import { forwardableHeaders, joinedHeader, type ResponseHeaders } from './headers.ts';
import { WithoutHttp2 } from './http2.ts';
import type { Target } from './way.ts';

/** One outbound HTTP request. */
export type UpstreamRequest = {
  readonly url: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'HEAD';
  /** Connection headers in it are dropped; host and content-length are written by the transport. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | readonly Uint8Array[];
  readonly timeouts: UpstreamTimeouts;
  /**
   * Gives up while the response head has not arrived. From then on `cancel` decides, because a
   * client's leaving does not always mean that the rest of an answer is of no use.
   */
  readonly signal?: AbortSignal;
  /**
   * Asked several times a second until it is true, then the call fails with kind 'lost': its owner
   * knows from other calls that no answer will come. Must be cheap.
   */
  readonly patience?: Patience;
  /** Opens private addresses and plain http, for channels that the operator marked. */
  readonly allowPrivate?: boolean;
  /** `http:`, `https:` or `socks5:` URL. The proxy resolves names, so only the name is judged. */
  readonly outboundProxy?: string;
  /** True shares one HTTP/2 connection among many calls, where the endpoint has it. Not with a proxy. */
  readonly http2?: boolean;
  /** Largest body that is read; 512 MiB unless told. */
  readonly responseBytesMax?: number;
  /** True closes the connection behind the answer, for places that are called once. */
  readonly closesConnection?: boolean;
};

/** The answer, as soon as its head is there. */
export type UpstreamResponse = {
  readonly status: number;
  /** The headers that may be shown to clients. */
  readonly headers: Readonly<Record<string, string>>;
  /** Any header, for routing and errors; `name` in lower case. */
  header(name: string): string | undefined;
  /**
   * Read once. A failure rejects the read with UpstreamFailure; leaving the loop cuts the
   * connection. A body without a length that ends with its connection ends cleanly.
   */
  readonly body: AsyncIterable<Uint8Array>;
  /**
   * Gives the body to `sink` as it arrives, instead of `body`: what already waits at once, in order,
   * everything else from the read of the socket, several chunks of one read as one piece.
   */
  pushTo(sink: BodySink): void;
  /** Gives the sink nothing, neither an end, until `resume`. From 64 KiB on the peer has to wait. */
  pause(): void;
  resume(): void;
  /** The whole body, instead of `body`. Rejects with kind 'too-large' beyond `bytesMax`. */
  collect(bytesMax: number): Promise<Buffer>;
  /**
   * Cuts the connection; a pending read rejects with kind 'aborted', a sink of `pushTo` hears nothing
   * more. Harmless when it is over.
   */
  cancel(): void;
  /** Resolves when the body is complete or has failed; never rejects. */
  readonly closed: Promise<void>;
};

/** A small request whose whole answer is text. */
export type TextRequest = Pick<UpstreamRequest, 'url' | 'method' | 'headers' | 'body'>;

export type TextRequestSettings = {
  readonly allowPrivate?: boolean;
  readonly outboundProxy?: string;
  /** The whole call; 30 s unless told. */
  readonly totalMs?: number;
  /** 1 MiB unless told. */
  readonly bytesMax?: number;
};

/** The client side of the gateway. */
export type Upstream = {
  /** Sends, and resolves with the head of the answer. Rejects with UpstreamFailure. No redirects. */
  send(request: UpstreamRequest): Promise<UpstreamResponse>;
  /** Sends and reads a small answer as text, for token exchange and channel tests. */
  fetchText(
    request: TextRequest,
    settings?: TextRequestSettings,
  ): Promise<{
    readonly status: number;
    readonly body: string;
    header(name: string): string | undefined;
  }>;
  /** The base URL to call now: alive, and fastest by connection and first byte. */
  fastest(urls: readonly string[]): string;
  /** Keeps a connection opened in reserve for the origins of these URLs, and for no others. */
  keepWarm(urls: readonly { readonly url: string; readonly allowPrivate: boolean }[]): void;
  /** Calls under way. */
  readonly running: number;
  /** Fails the running calls and closes all connections. */
  close(): Promise<void>;
};

export type UpstreamSettings = {
  readonly clock: Clock;
  /** The operating system's resolver unless told; injected in tests. */
  readonly resolve?: Resolve;
  readonly pools?: Partial<PoolSettings>;
};

const sweepMs = 50;
const urlCacheSize = 512;
const responseBytesMax = 512 * 2 ** 20;

/** Creates the client. Its connections stay open between calls; `close` ends them. */
export function createUpstream(settings: UpstreamSettings): Upstream {
  return new Transport(settings);
}

type Running = {
  readonly answer: PromiseWithResolvers<UpstreamResponse>;
  /** Absent behind an outbound proxy, whose calls say nothing of the endpoint. */
  readonly origin: string | undefined;
};

class Transport implements Upstream, CallOwner {
  readonly #clock: Clock;
  readonly #agents: Agents;
  readonly #calls = new Map<OutboundCall, Running>();
  readonly #targets = new Map<string, Target>();
  #sweeper: NodeJS.Timeout | undefined;
  #sweptAt = 0;
  #wasLate = false;

  constructor(settings: UpstreamSettings) {
    this.#clock = settings.clock;
    this.#agents = new Agents(
      settings.resolve ?? systemResolve,
      {
        ...defaultPoolSettings,
        ...settings.pools,
      },
      settings.clock,
    );
  }

  fastest(urls: readonly string[]): string {
    return this.#agents.endpoints.fastest(urls);
  }

  keepWarm(urls: readonly { readonly url: string; readonly allowPrivate: boolean }[]): void {
    for (const allowPrivate of [true, false]) {
      const origins = urls
        .filter((entry) => entry.allowPrivate === allowPrivate)
        .map(({ url }) => originOf(url));
      this.#agents.keepWarm([...new Set(origins)], { allowPrivate });
    }
  }

  get running(): number {
    return this.#calls.size;
  }

  send(request: UpstreamRequest): Promise<UpstreamResponse> {
    return request.http2 === true ? this.#sendShared(request) : this.#send(request);
  }

  /** An endpoint without HTTP/2 is known after the first try, which sent nothing. */
  async #sendShared(request: UpstreamRequest): Promise<UpstreamResponse> {
    try {
      return await this.#send(request);
    } catch (error) {
      if (!(error instanceof WithoutHttp2)) throw error;
      return this.#send(request);
    }
  }

  #send(request: UpstreamRequest): Promise<UpstreamResponse> {
    try {
      return this.#dispatch(request);
    } catch (error) {
      return Promise.reject(classifyFailure(error, false));
    }
  }

  #dispatch(request: UpstreamRequest): Promise<UpstreamResponse> {
    const { signal, outboundProxy, body } = request;
    if (signal?.aborted === true)
      throw new UpstreamFailure('aborted', 'the call was cancelled', false);
    const policy = { allowPrivate: request.allowPrivate === true };
    const target = this.#target(request.url, policy, outboundProxy !== undefined);
    const call = new OutboundCall(
      {
        timeouts: request.timeouts,
        bytesMax: request.responseBytesMax ?? responseBytesMax,
        startedAtMs: this.#clock.monotonic(),
        patience: request.patience,
        signal,
      },
      this,
    );
    const answer = Promise.withResolvers<UpstreamResponse>();
    this.#watch(call, { answer, origin: outboundProxy === undefined ? target.origin : undefined });
    try {
      const way =
        outboundProxy === undefined
          ? request.http2 === true && request.closesConnection !== true
            ? this.#agents.shared(policy, target.origin)
            : this.#agents.direct(policy)
          : this.#agents.proxied(outboundProxy);
      way.send(
        {
          target,
          method: request.method,
          headers: request.headers,
          body: body === undefined ? [] : body instanceof Uint8Array ? [body] : body,
          closesConnection: request.closesConnection === true,
        },
        call,
      );
    } catch (error) {
      call.fail(classifyFailure(error, false));
    }
    return answer.promise;
  }

  answered(call: OutboundCall, status: number, headers: ResponseHeaders): void {
    const running = this.#calls.get(call);
    if (running === undefined) return;
    if (running.origin !== undefined)
      this.#agents.endpoints.answered(running.origin, this.#clock.monotonic() - call.startedAtMs);
    running.answer.resolve(new CallResponse(call, status, headers));
  }

  over(call: OutboundCall, failure: UpstreamFailure | undefined): void {
    const running = this.#calls.get(call);
    this.#calls.delete(call);
    if (running === undefined || failure === undefined) return;
    // Nothing was sent: the endpoint itself cannot be reached.
    if (running.origin !== undefined && isUnreachable(failure))
      this.#agents.endpoints.failed(running.origin);
    running.answer.reject(failure);
  }

  async fetchText(
    request: TextRequest,
    settings: TextRequestSettings = {},
  ): Promise<{
    readonly status: number;
    readonly body: string;
    header(name: string): string | undefined;
  }> {
    const { totalMs = 30_000, bytesMax = 2 ** 20, allowPrivate = false, outboundProxy } = settings;
    const answer = await this.send({
      ...request,
      allowPrivate,
      timeouts: { connectMs: totalMs, headersMs: totalMs, idleMs: totalMs, totalMs },
      responseBytesMax: bytesMax,
      ...(outboundProxy === undefined ? undefined : { outboundProxy }),
    });
    const bytes = await answer.collect(bytesMax);
    return {
      status: answer.status,
      body: bytes.toString('utf8'),
      header: (name) => answer.header(name),
    };
  }

  async close(): Promise<void> {
    for (const call of this.#calls.keys()) call.shutDown();
    clearInterval(this.#sweeper);
    await this.#agents.destroy();
  }

  /** The checked parts of a URL. Most calls go to a few URLs, whose check is remembered. */
  #target(url: string, policy: EgressPolicy, proxied: boolean): Target {
    const key = `${policy.allowPrivate ? 'p' : ''}${proxied ? 'x' : ''} ${url}`;
    const known = this.#targets.get(key);
    if (known !== undefined) return known;
    const parsed = checkUrl(url, policy);
    if (proxied) checkNameForProxy(parsed, policy);
    const target = {
      origin: parsed.origin,
      host: parsed.host,
      path: parsed.pathname + parsed.search,
    };
    if (this.#targets.size >= urlCacheSize) this.#targets.clear();
    this.#targets.set(key, target);
    return target;
  }

  #watch(call: OutboundCall, running: Running): void {
    this.#calls.set(call, running);
    this.#sweeper ??= setInterval(() => {
      const now = this.#clock.monotonic();
      // After a pause of the whole process the answers may lie unread: they are read first.
      const isLate = now - this.#sweptAt > 3 * sweepMs && !this.#wasLate;
      this.#sweptAt = now;
      this.#wasLate = isLate;
      if (isLate) return;
      for (const running of this.#calls.keys()) running.sweep(now);
    }, sweepMs).unref();
  }
}

function isUnreachable(failure: UpstreamFailure): boolean {
  if (failure.sent) return false;
  return (
    failure.kind === 'connect' ||
    failure.kind === 'timeout-connect' ||
    failure.kind === 'dns' ||
    failure.kind === 'tls'
  );
}

/** The answer of a call; a class, because one is made for every request. */
class CallResponse implements UpstreamResponse {
  readonly status: number;
  readonly #call: OutboundCall;
  readonly #headers: ResponseHeaders;
  #pulled: PulledBody | undefined;
  /** The body, when it differs from what the call receives. */
  readonly #decoded: BodySource | undefined;

  constructor(call: OutboundCall, status: number, headers: ResponseHeaders) {
    this.#call = call;
    this.#headers = headers;
    this.status = status;
    const coding = codingOf(this.header('content-encoding'));
    if (coding === undefined) return;
    const pieces = decompressed(new PulledBody(call), coding);
    this.#decoded = new PumpedBody(pieces, () => call.cancel());
  }

  get headers(): Readonly<Record<string, string>> {
    return forwardableHeaders(this.#headers);
  }

  get closed(): Promise<void> {
    return this.#call.closed;
  }

  get body(): AsyncIterable<Uint8Array> {
    this.#pulled ??= new PulledBody(this.#source);
    return this.#pulled;
  }

  get #source(): BodySource {
    return this.#decoded ?? this.#call;
  }

  header(name: string): string | undefined {
    return joinedHeader(this.#headers, name);
  }

  pushTo(sink: BodySink): void {
    this.#source.attach(sink, false);
  }

  pause(): void {
    this.#source.pause();
  }

  resume(): void {
    this.#source.resume();
  }

  collect(bytesMax: number): Promise<Buffer> {
    return collectBody(this.#source, bytesMax);
  }

  cancel(): void {
    this.#source.cancel();
  }
}
