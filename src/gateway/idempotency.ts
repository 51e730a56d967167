/**
 * `Idempotency-Key`: one upstream call and one charge, however often the client asks. A repeat while
 * the request runs attaches to it; later it gets the stored answer. The key is unique per wallet, its
 * parameters are compared, and the ledger holds it with the hold, so that a restart forgets nothing.
 */

import { createHash } from 'node:crypto';
import type { Principal } from '#access';
import { fail, gatewayError, GatewayFailure } from '#canonical';
import { asNumber, asObject, asString, type JsonObject } from '#std';
import { JoinedAbort } from '#upstream';
import { authenticate } from './admission.ts';
import { ExchangeAborted, type Exchange } from './http/index.ts';
import type { Services } from './services.ts';
import { outOfTime } from './steps.ts';
import { DetachedExchange, Transcript, type StoredTranscript } from './transcript.ts';

const namespace = 'answers';
const keyLengthMax = 255;
const keepMs = 24 * 3_600_000;
/** How long a finished answer stays in memory before only the store has it. */
const memoryMs = 60_000;
const answerBytesMax = 32 * 2 ** 20;
const allBytesMax = 256 * 2 ** 20;

/** Running and just finished answers of this process. */
export class Transcripts {
  readonly #bytesMax: number;
  readonly #byKey = new Map<string, Transcript>();
  /** Those that are finished, the oldest first: the store has them too, so they go when room is needed. */
  readonly #finished = new Map<Transcript, string>();
  readonly #stop = new AbortController();
  #bytes = 0;

  constructor(bytesMax: number = allBytesMax) {
    this.#bytesMax = bytesMax;
  }

  get(key: string): Transcript | undefined {
    return this.#byKey.get(key);
  }

  /** A new one under `key`. Throws GatewayFailure when running answers alone fill the memory for them. */
  begin(key: string, requestId: string, parametersHash: string): Transcript {
    if (this.#bytes > this.#bytesMax)
      throw new GatewayFailure(
        gatewayError('overloaded', 'Too many idempotent answers are kept at once.', {
          retryAfterMs: 1_000,
        }),
      );
    const transcript = new Transcript(requestId, parametersHash, answerBytesMax, (change) => {
      this.#bytes += change;
      if (this.#bytes > this.#bytesMax) this.#makeRoom();
    });
    this.#byKey.set(key, transcript);
    return transcript;
  }

  /** It is stored, as far as it could be: it stays in memory for a while, or until others need the room. */
  finished(key: string, transcript: Transcript): void {
    this.#finished.set(transcript, key);
    setTimeout(() => this.remove(key, transcript), memoryMs).unref();
    if (this.#bytes > this.#bytesMax) this.#makeRoom();
  }

  remove(key: string, transcript: Transcript): void {
    this.#finished.delete(transcript);
    if (this.#byKey.get(key) === transcript) this.#byKey.delete(key);
    transcript.forget();
  }

  #makeRoom(): void {
    for (const [transcript, key] of this.#finished) {
      if (this.#bytes <= this.#bytesMax) return;
      this.remove(key, transcript);
    }
  }

  /** Aborted when the server's time is over: what still runs has to end. */
  get stopping(): AbortSignal {
    return this.#stop.signal;
  }

  stop(): void {
    this.#stop.abort(new ExchangeAborted('shutting-down'));
  }
}

/** What the ledger remembers of an idempotent request. */
export type Idempotency = {
  readonly key: string;
  readonly parametersHash: string;
  readonly expiresAtMs: number;
};

export type IdempotentHandler = (
  exchange: Exchange,
  idempotency: Idempotency | undefined,
) => Promise<void>;

export async function idempotently(
  services: Services,
  exchange: Exchange,
  handler: IdempotentHandler,
): Promise<void> {
  const key = exchange.header('idempotency-key');
  if (key === undefined) return handler(exchange, undefined);
  if (key === '' || key.length > keyLengthMax)
    fail('invalid_request', `\`Idempotency-Key\` must have 1 to ${keyLengthMax} characters.`, {
      path: 'Idempotency-Key',
    });
  const principal = await authenticate(services, exchange);
  const parametersHash = hashOf(exchange);
  const place = placeOf(principal, key);
  const running = services.transcripts.get(place);
  if (running) return attach(running, exchange, parametersHash);
  const kept = await loadAnswer(services, principal, key);
  if (kept) return replay(kept, exchange, parametersHash);
  const raced = services.transcripts.get(place);
  if (raced) return attach(raced, exchange, parametersHash);
  const transcript = services.transcripts.begin(place, exchange.requestId, parametersHash);
  // Stored, and read by other processes and after a restart: only the time of day means the same to all of them.
  // What runs or has just finished here is found in `transcripts` first, which no clock ends.
  const idempotency = { key, parametersHash, expiresAtMs: services.clock.now() + keepMs };
  const work = run(services, principal, exchange, transcript, place, idempotency, handler);
  await Promise.all([transcript.follow(exchange, lastEventId(exchange)), work]);
}

/** The keys of different wallets know nothing of each other, here and in the store. */
function placeOf({ walletId }: Principal, key: string): string {
  return `${walletId} ${key}`;
}

/** Works on whether or not the client stays; keeps what was charged, forgets what was refused. */
async function run(
  services: Services,
  principal: Principal,
  exchange: Exchange,
  transcript: Transcript,
  place: string,
  idempotency: Idempotency,
  handler: IdempotentHandler,
): Promise<void> {
  const { transcripts, settings } = services;
  const life = new JoinedAbort([transcripts.stopping], settings.requestMs);
  try {
    await handler(new DetachedExchange(exchange, transcript, life.signal), idempotency);
    // The handler saw its time end, and took it for a client that has left.
    if (!transcript.head) throw outOfTime(life.signal.reason);
    const { stored } = transcript;
    if (stored) await keepAnswer(services, principal, idempotency, stored);
    transcripts.finished(place, transcript);
  } catch (error) {
    transcript.fail(error);
    transcripts.remove(place, transcript);
    throw error;
  } finally {
    life.release();
  }
}

function attach(transcript: Transcript, exchange: Exchange, parametersHash: string): Promise<void> {
  if (transcript.parametersHash !== parametersHash) mismatch();
  const after = lastEventId(exchange);
  if (after === 0 && !transcript.repeatable)
    fail(
      'answer_expired',
      'The answer was too large to be kept. It was charged once; its receipt says so.',
    );
  return transcript.follow(exchange, after, transcript.isRunning ? {} : replayed);
}

const replayed = { 'x-manifold-replayed': 'true' };

function mismatch(): never {
  fail(
    'idempotency_mismatch',
    'This `Idempotency-Key` was used with other parameters. Use a new key for a new request.',
    { path: 'Idempotency-Key' },
  );
}

function replay(
  kept: StoredTranscript & { readonly parametersHash: string },
  exchange: Exchange,
  parametersHash: string,
): void {
  if (kept.parametersHash !== parametersHash) mismatch();
  const { head, frames } = kept;
  const headers = { ...head.headers, ...replayed };
  if (!head.streamed) return exchange.respond(head.status, headers, Buffer.concat(frames));
  const stream = exchange.stream(head.status, headers);
  for (const frame of frames.slice(lastEventId(exchange))) stream.write(frame);
  stream.end();
}

/** The number of the last event that the client has, 0 for none. */
function lastEventId(exchange: Exchange): number {
  const text = exchange.header('last-event-id');
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : 0;
}

function hashOf(exchange: Exchange): string {
  const query = new URLSearchParams(exchange.query);
  // Who asks is no part of what is asked, wherever it stands: another key of the wallet may ask again.
  query.delete('key');
  return createHash('sha256')
    .update(`${exchange.method} ${exchange.path}?${query.toString()}\n`)
    .update(exchange.body)
    .digest('hex');
}

async function keepAnswer(
  services: Services,
  principal: Principal,
  idempotency: Idempotency,
  stored: StoredTranscript,
): Promise<void> {
  const { head, frames } = stored;
  try {
    await services.store.blobs.put({
      namespace,
      id: placeOf(principal, idempotency.key),
      owner: principal.walletId,
      body: Buffer.concat(frames),
      expiresAtMs: idempotency.expiresAtMs,
      detail: {
        parameters_hash: idempotency.parametersHash,
        status: head.status,
        streamed: head.streamed,
        headers: head.headers,
        lengths: frames.map((frame) => frame.length),
      },
    });
  } catch (error) {
    services.log('warning', 'answer.not_kept', { error: String(error) });
  }
}

async function loadAnswer(
  services: Services,
  principal: Principal,
  key: string,
): Promise<(StoredTranscript & { readonly parametersHash: string }) | undefined> {
  const blob = await services.store.blobs.get(
    namespace,
    placeOf(principal, key),
    principal.walletId,
  );
  if (!blob) return undefined;
  const { detail, body } = blob;
  const lengths = lengthsOf(detail);
  const frames: Uint8Array[] = [];
  let at = 0;
  for (const length of lengths) {
    frames.push(body.subarray(at, at + length));
    at += length;
  }
  return {
    parametersHash: asString(detail['parameters_hash']) ?? '',
    head: {
      status: asNumber(detail['status']) ?? 200,
      headers: headersOf(detail),
      streamed: detail['streamed'] === true,
    },
    frames,
  };
}

function lengthsOf(detail: JsonObject): readonly number[] {
  const lengths = detail['lengths'];
  return Array.isArray(lengths)
    ? lengths.filter((length): length is number => typeof length === 'number')
    : [];
}

function headersOf(detail: JsonObject): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(asObject(detail['headers']) ?? {}))
    if (typeof value === 'string') headers[name] = value;
  return headers;
}

/** After a restart: the ledger knows the key, the answer may be stored or gone. */
export function duplicateFailure(
  state: 'open' | 'settled' | 'voided',
  receiptId: string | undefined,
): GatewayFailure {
  if (state === 'open')
    return new GatewayFailure(
      gatewayError('request_in_progress', 'A request with this `Idempotency-Key` is running.', {
        retryAfterMs: 1_000,
      }),
    );
  const receipt = receiptId === undefined ? '' : ` Receipt ${receiptId} shows the one charge.`;
  return new GatewayFailure(
    gatewayError(
      'answer_expired',
      `The answer to this \`Idempotency-Key\` is no longer kept.${receipt}`,
    ),
  );
}
