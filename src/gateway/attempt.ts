/**
 * Step 8, second half: one call to one upstream, up to the point where it has either shown content or
 * failed. Nothing here has reached the client yet, so a failure may still be mended by another channel.
 */

import {
  ChatCollector,
  gatewayError,
  GatewayFailure,
  restoreCustomCalls,
  type ChatResponse,
  type GatewayError,
  type Usage,
} from '#canonical';
import type { Dialect, Quirks } from '#dialects';
import type { OutboundRequest } from '#providers';
import { readRateLimitHeaders, readRetryAfter, type Attempt } from '#routing';
import {
  createJsonArrayParser,
  createNdjsonParser,
  createSseParser,
  FramingError,
  parseJsonObject,
  type FrameParser,
  type JsonObject,
} from '#std';
import { UpstreamFailure, type UpstreamResponse, type UpstreamTimeouts } from '#upstream';
import type { ChatCall } from './call.ts';
import { errorWithoutSecret, failureOf, withoutSecret, type AttemptFailure } from './failure.ts';
import type { Exchange } from './http/index.ts';
import { passThroughRelay, translatingRelay, type Relay } from './relay.ts';
import type { Services } from './services.ts';
import { stopsBilling } from './hold-size.ts';
import type { Route } from './target.ts';
import type { AttemptTrail } from './trail.ts';
import { outbound } from './wire.ts';

export type AttemptContext = {
  readonly services: Services;
  readonly call: ChatCall;
  readonly route: Route;
  readonly attempt: Attempt;
  readonly trail: AttemptTrail;
  readonly elapsedMs: () => number;
  readonly client: Pick<Exchange, 'aborted' | 'signal'>;
  readonly outputTokensMax: number | undefined;
  readonly onLoss: (path: string, reason: string) => void;
  /** Another relay in the place of the usual one, where the answer may have several upstreams. */
  readonly relay?: ((upstream: Dialect, quirks: Quirks) => Relay) | undefined;
};

/** A stream whose upstream has answered 200: frames can be read. */
export type OpenStream = {
  readonly kind: 'stream';
  readonly response: Pick<UpstreamResponse, 'pushTo' | 'pause' | 'resume' | 'cancel'>;
  readonly parser: FrameParser;
  readonly relay: Relay;
  /**
   * The whole answer in what was left after the last frame: some write it bare, whatever they announced.
   * Throws GatewayFailure where it is an error, as many write theirs.
   */
  readonly readBare?: (rest: Uint8Array) => WholeAnswer | undefined;
};

/** A whole answer that was found good. */
export type WholeAnswer = {
  readonly kind: 'whole';
  /** The body as the upstream sent it, when it may pass through. */
  readonly text: string | undefined;
  /** Decoded when it is asked for: most answers that pass through never are. */
  readonly response: () => ChatResponse;
  readonly usage: Usage | undefined;
  readonly empty: boolean;
};

export type Opened =
  | OpenStream
  | WholeAnswer
  | { readonly kind: 'failed'; readonly failed: AttemptFailure };

/** Sends and waits for the head of the answer, and for a plain answer for all of it. */
export async function openAttempt(context: AttemptContext): Promise<Opened> {
  const { attempt, trail } = context;
  try {
    const opened = await sendAttempt(context);
    if (opened.kind === 'failed') trail.outcome = 'failed';
    return opened;
  } catch (error) {
    if (context.client.aborted) attempt.failed({ kind: 'aborted-by-client' });
    trail.outcome = trail.outcome === 'not_sent' ? 'not_sent' : 'failed';
    return failedAt(error, context.route);
  }
}

async function sendAttempt(context: AttemptContext): Promise<Opened> {
  const { services, call, route } = context;
  const { response, passThrough } = await sendToChannel(context);
  const upstreamDialect =
    services.dialects[route.speech.speech.dialect as keyof Services['dialects']];
  if (response.status >= 300) return failedStatus(response, upstreamDialect.error, context);
  const type = response.header('content-type') ?? '';
  if (call.request.stream && streams(type))
    return openStream(context, response, upstreamDialect, passThrough, type);
  return readWhole(context, response, upstreamDialect, passThrough);
}

/** A channel's next address is asked when one cannot be reached: nothing was sent, so nothing happens twice. */
async function sendToChannel(
  context: AttemptContext,
): Promise<{ readonly response: UpstreamResponse; readonly passThrough: boolean }> {
  const { services, call, route, attempt, trail, client } = context;
  const signal = interruptible(context) ? client.signal : undefined;
  const sending: SendContext = { services, route, attempt, trail, signal };
  const wholeTokens = call.request.stream ? undefined : (call.request.outputTokensMax ?? Infinity);
  for (let left = route.offer.channel.baseUrls.length; ; left -= 1) {
    const { request, passThrough } = await outbound(
      services,
      call,
      route,
      context.outputTokensMax,
      client,
    );
    try {
      return { response: await sendOnce(sending, request, wholeTokens), passThrough };
    } catch (error) {
      if (left <= 1 || client.aborted || !(error instanceof UpstreamFailure) || error.sent)
        throw error;
    }
  }
}

/** Where leaving does not stop the vendor's meter, the answer is awaited for its bill: whole ones always. */
function interruptible({ call, route }: AttemptContext): boolean {
  return call.request.stream && stopsBilling(route);
}

/** Without `signal` the call goes on when the client leaves. */
export type SendContext = Pick<AttemptContext, 'services' | 'route' | 'attempt' | 'trail'> & {
  readonly signal: AbortSignal | undefined;
};

/** The bytes leave; resolves with the head of the answer, whatever its status. `wholeTokens`: the most a whole answer has; absent for a stream. */
export async function sendOnce(
  context: SendContext,
  request: OutboundRequest,
  wholeTokens: number | undefined,
): Promise<UpstreamResponse> {
  const { services, route, attempt, trail, signal } = context;
  const { definition, provider } = route.offer.channel;
  trail.outcome = 'unknown';
  attempt.sent();
  const response = await services.upstream.send({
    ...request,
    // Names the call in the vendor's own log, and in the bill of those that keep it.
    headers: { ...request.headers, 'x-client-request-id': trail.attemptId },
    timeouts: timeoutsOf(context, wholeTokens),
    ...(signal ? { signal } : {}),
    ...(wholeTokens === undefined ? { patience: attempt } : {}),
    allowPrivate: definition.allow_private === true,
    ...(definition.http2 === true ? { http2: true } : {}),
    ...(definition.outbound_proxy === undefined
      ? {}
      : { outboundProxy: definition.outbound_proxy }),
  });
  trail.status = response.status;
  attempt.headers(
    readRateLimitHeaders(
      provider.facts.rateLimits,
      (name) => response.header(name),
      services.clock.now(),
    ),
  );
  return response;
}

/** The slowest writing that is waited for in a whole answer, which shows nothing until it is complete. */
const wholeTokenMs = 250;

/** An address is left after this where the channel has another one. */
const otherAddressMs = 900;

function timeoutsOf(
  { services, route, attempt, trail }: SendContext,
  wholeTokens: number | undefined,
): UpstreamTimeouts {
  const { firstContentMs, idleMs, totalMs } = attempt.timeouts;
  const isOnly = route.offer.channel.baseUrls.length === 1;
  const connectMs = isOnly
    ? attempt.timeouts.connectMs
    : Math.min(attempt.timeouts.connectMs, otherAddressMs);
  const leftMs = Math.max(1, Math.min(totalMs, services.settings.requestMs - trail.startedAtMs));
  if (wholeTokens === undefined)
    return { connectMs, headersMs: Math.min(firstContentMs, leftMs), idleMs, totalMs: leftMs };
  const wholeMs = Math.min(leftMs, firstContentMs + wholeTokens * wholeTokenMs);
  return { connectMs, headersMs: wholeMs, idleMs: wholeMs, totalMs: wholeMs };
}

/** Servers that stream say so; anything else is read as a whole and judged by what it is. */
function streams(contentType: string): boolean {
  return /^(text\/event-stream|application\/x-ndjson|application\/vnd\.amazon\.eventstream)/i.test(
    contentType,
  );
}

/** What was thrown at an attempt, without the channel's key. */
export function failedAt(error: unknown, route: Route): Extract<Opened, { kind: 'failed' }> {
  const failed = classify(error);
  return { kind: 'failed', failed: { ...failed, error: errorWithoutSecret(failed.error, route) } };
}

export async function failedStatus(
  response: UpstreamResponse,
  errors: Dialect['error'],
  { services, route }: Pick<AttemptContext, 'services' | 'route'>,
): Promise<{ readonly kind: 'failed'; readonly failed: AttemptFailure }> {
  const text = await readText(response, errorBytesMax);
  const error =
    response.status < 400
      ? redirected(response.status)
      : errors.decode(response.status, withoutSecret(text, route));
  const retryAfterMs =
    error.retryAfterMs ?? readRetryAfter((name) => response.header(name), services.clock.now());
  return {
    kind: 'failed',
    failed: { error: { ...error, retryAfterMs }, failure: failureOf(error, retryAfterMs) },
  };
}

/** A key is not sent to wherever an answer says, and most clients turn the question into a GET on the way. */
function redirected(status: number): GatewayError {
  return gatewayError(
    'upstream_invalid',
    `The upstream provider answered with a redirect (${status}), which is not followed. The channel's \`base_url\` must name the address itself.`,
  );
}

/** As much as an answer: some servers repeat the whole request in their refusal (FastAPI, beside the field's name). */
const errorBytesMax = 64 * 2 ** 20;

function openStream(
  context: AttemptContext,
  response: OpenStream['response'],
  upstream: Dialect,
  passThrough: boolean,
  type: string,
): OpenStream {
  const { call, route } = context;
  const { quirks, speech } = route.speech;
  const isLines = type.startsWith('application/x-ndjson');
  const untouched = passThrough && call.form.framing === 'sse' && !isLines;
  const relay =
    context.relay?.(upstream, quirks) ??
    (untouched
      ? passThroughRelay(call.dialect, call.request, quirks)
      : translatingRelay(upstream, call.dialect, call.request, quirks, call.form, context.onLoss));
  const parser =
    speech.parser?.() ??
    (isLines
      ? createNdjsonParser()
      : speech.framing === 'json-array'
        ? createJsonArrayParser()
        : createSseParser());
  return {
    kind: 'stream',
    response,
    parser,
    relay,
    readBare: (rest) => readBare(context, upstream, textOf(Buffer.from(rest))),
  };
}

/** Comments that keep a connection alive, before what was to come. */
const leadingComments = /^(?:\s*:[^\r\n]*[\r\n])+/;

function readBare(
  context: AttemptContext,
  dialect: Dialect,
  rest: string,
): WholeAnswer | undefined {
  const text = rest.replace(leadingComments, '').trim();
  if (text.startsWith('[')) return collected(context, dialect, text, createJsonArrayParser());
  const wire = parseJsonObject(text);
  return wire && wholeOf(context, dialect, wire, undefined);
}

async function readWhole(
  context: AttemptContext,
  response: UpstreamResponse,
  dialect: Dialect,
  passThrough: boolean,
): Promise<Opened> {
  const { services } = context;
  const text = await readText(response, services.settings.answerBytesMax);
  if (text.trimStart().startsWith('['))
    return collected(context, dialect, text, createJsonArrayParser());
  if (startsLikeEvents(text))
    return context.call.request.stream
      ? openStream(context, replayed(response, text), dialect, passThrough, '')
      : collected(context, dialect, text, createSseParser());
  const wire = parseJsonObject(text);
  if (!wire)
    throw new GatewayFailure(
      gatewayError('upstream_invalid', 'The upstream answered with something that is not JSON.'),
    );
  return wholeOf(context, dialect, wire, passThrough ? text : undefined);
}

/** `text`: the body, where it may pass through. Throws GatewayFailure for an error in the answer's place. */
function wholeOf(
  { call, route }: AttemptContext,
  dialect: Dialect,
  wire: JsonObject,
  text: string | undefined,
): WholeAnswer {
  const hidden = errorInside(wire, dialect);
  if (hidden) throw new GatewayFailure(hidden);
  const { quirks } = route.speech;
  let decoded: ChatResponse | undefined;
  const answer = (): ChatResponse =>
    (decoded ??= restoreCustomCalls(dialect.response.decode(wire, quirks), call.request));
  const usage = text === undefined ? undefined : plainUsage(dialect, wire, quirks);
  return {
    kind: 'whole',
    text,
    response: answer,
    usage: usage ?? answer().usage,
    empty: usage === undefined && isEmpty(answer()),
  };
}

/** A stream that came at once, from a server that streams whatever it is asked for, or as one JSON array. */
function collected(
  { call, route }: AttemptContext,
  dialect: Dialect,
  text: string,
  parser: FrameParser,
): WholeAnswer {
  const decoder = dialect.stream.decoder(route.speech.quirks);
  const collector = new ChatCollector(dialect.id);
  const frames = parser.push(Buffer.from(text));
  const tail = parser.end();
  for (const frame of tail ? [...frames, tail] : frames)
    for (const event of decoder.push(frame)) collector.push(event);
  for (const event of decoder.end()) collector.push(event);
  const answer = restoreCustomCalls(collector.finish(), call.request);
  return {
    kind: 'whole',
    text: undefined,
    response: () => answer,
    usage: answer.usage,
    empty: isEmpty(answer),
  };
}

/** The usage of an answer that says something and counts all of it: nothing else has to be read from it. */
function plainUsage(dialect: Dialect, wire: JsonObject, quirks: Quirks): Usage | undefined {
  if (dialect.response.isPlain?.(wire) !== true) return undefined;
  const usage = dialect.response.usage(wire, quirks);
  return usage?.inputTokens !== undefined && usage.outputTokens !== undefined ? usage : undefined;
}

/** A stream that its vendor did not announce by its type. */
function startsLikeEvents(text: string): boolean {
  return /^\s*(?:data|event|id|retry)?:/.test(text);
}

/** A body that was read already, handed on as if it came now. */
function replayed(response: UpstreamResponse, text: string): OpenStream['response'] {
  return {
    cancel: () => response.cancel(),
    pause: () => {},
    resume: () => {},
    pushTo: (sink) => {
      sink.data(Buffer.from(text));
      sink.end();
    },
  };
}

/** An error object in a 200: several vendors do it. Its own number and words say what it is. */
function errorInside(wire: JsonObject, dialect: Dialect): GatewayError | undefined {
  const { error } = wire;
  if (error === undefined || error === null) return undefined;
  const hasAnswer = wire['choices'] ?? wire['content'] ?? wire['candidates'] ?? wire['output'];
  return hasAnswer === undefined ? dialect.error.decode(200, JSON.stringify(wire)) : undefined;
}

/** An answer that ended normally and says nothing at all. */
export function isEmpty(answer: ChatResponse): boolean {
  return answer.choices.every((choice) => {
    const { reason } = choice.finish;
    if (reason !== 'stop' && reason !== 'other' && reason !== 'error') return false;
    return choice.parts.every(
      (part) => 'text' in part && part.text === '' && part.kind !== 'reasoning',
    );
  });
}

export async function readText(response: UpstreamResponse, bytesMax: number): Promise<string> {
  return textOf(await response.collect(bytesMax));
}

/** UTF-8 without a byte order mark. */
function textOf(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** Any exception of an attempt as an error for the client and a failure for routing. */
export function classify(error: unknown): AttemptFailure {
  if (error instanceof GatewayFailure)
    return { error: error.error, failure: failureOf(error.error) };
  if (error instanceof UpstreamFailure) return classifyTransport(error);
  if (error instanceof FramingError) {
    const message = 'The upstream sent a stream that cannot be read.';
    return classify(new GatewayFailure(gatewayError('upstream_invalid', message)));
  }
  throw error;
}

function classifyTransport(failure: UpstreamFailure): AttemptFailure {
  const failed = (message: string): GatewayError => gatewayError('upstream_failed', message);
  switch (failure.kind) {
    case 'dns':
      return { error: failed('The upstream host cannot be resolved.'), failure: { kind: 'dns' } };
    case 'tls':
      return {
        error: failed('The TLS connection to the upstream failed.'),
        failure: { kind: 'tls' },
      };
    case 'connect':
    case 'timeout-connect':
      return { error: failed('The upstream cannot be reached.'), failure: { kind: 'connect' } };
    case 'lost':
    case 'timeout-headers':
      return {
        error: gatewayError('upstream_timeout', 'The upstream did not answer in time.'),
        failure: { kind: 'timeout-headers' },
      };
    case 'timeout-idle':
    case 'timeout-total':
      return {
        error: gatewayError('upstream_timeout', 'The upstream stopped sending.'),
        failure: { kind: 'timeout-content' },
      };
    case 'reset':
      return {
        error: gatewayError('upstream_cut', 'The upstream closed the connection.'),
        failure: { kind: 'cut' },
      };
    case 'aborted':
      return {
        error: gatewayError('client_closed_request', 'The client closed the connection.'),
        failure: { kind: 'aborted-by-client' },
      };
    case 'forbidden':
      return {
        error: gatewayError(
          'upstream_failed',
          'The channel points to an address that is not allowed.',
        ),
        failure: { kind: 'auth' },
      };
    case 'too-large':
      return {
        error: gatewayError('upstream_invalid', 'The upstream sent more than an answer may hold.'),
        failure: { kind: 'invalid-response' },
      };
    default:
      return {
        error: gatewayError('upstream_invalid', 'The upstream broke the HTTP protocol.'),
        failure: { kind: 'invalid-response' },
      };
  }
}
