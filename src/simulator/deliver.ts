/** Writing a reply the way a fault says. */

import type { ServerResponse } from 'node:http';
import type { Fault } from './fault.ts';
import type { Measured } from './meter.ts';

export type Reply = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Whole, or the pieces of a stream. */
  readonly body: Buffer | readonly string[];
  readonly paceMs: number;
  /** What the answer is made of, when it is billed. */
  readonly measured?: Measured | undefined;
};

/** How much of the body was written so far. */
export type Progress = { bytes: number };

export async function deliver(
  response: ServerResponse,
  reply: Reply,
  fault: Fault,
  progress: Progress,
): Promise<void> {
  if (fault.reset === true) {
    response.destroy();
    return;
  }
  if (fault.silent === true) return;
  await pause(fault.delay_ms, response);
  const headers = {
    ...reply.headers,
    ...fault.headers,
    ...(fault.content_type === undefined ? {} : { 'content-type': fault.content_type }),
  };
  response.writeHead(fault.status ?? reply.status, headers);
  if (fault.first_byte_delay_ms !== undefined) {
    response.flushHeaders();
    await pause(fault.first_byte_delay_ms, response);
  }
  const whole = fault.body === undefined ? reply.body : Buffer.from(fault.body);
  const plain =
    fault.drip_ms === undefined &&
    fault.cut_at_byte === undefined &&
    fault.end_at_byte === undefined;
  const stepwise = reply.paceMs > 0 || fault.pause_after_events !== undefined;
  if (plain && !Buffer.isBuffer(whole) && stepwise)
    return paced(response, whole, reply.paceMs, fault, progress);
  const bytes = Buffer.isBuffer(whole) ? whole : Buffer.from(whole.join(''));
  if (plain) {
    if (!response.destroyed) progress.bytes = bytes.length;
    response.end(bytes);
    return;
  }
  await drip(response, bytes, fault, progress);
}

async function paced(
  response: ServerResponse,
  pieces: readonly string[],
  paceMs: number,
  fault: Fault,
  progress: Progress,
): Promise<void> {
  for (const [index, piece] of pieces.entries()) {
    if (index === fault.pause_after_events) await pause(fault.pause_ms, response);
    if (response.destroyed) return;
    response.write(piece);
    progress.bytes += Buffer.byteLength(piece);
    await pause(paceMs, response);
  }
  response.end();
}

async function drip(
  response: ServerResponse,
  bytes: Buffer,
  fault: Fault,
  progress: Progress,
): Promise<void> {
  const end = Math.min(bytes.length, fault.cut_at_byte ?? fault.end_at_byte ?? bytes.length);
  const step = fault.drip_ms === undefined ? Math.max(1, end) : Math.max(1, fault.drip_bytes ?? 16);
  for (let at = 0; at < end && !response.destroyed; at += step) {
    await written(response, bytes.subarray(at, Math.min(end, at + step)));
    progress.bytes = Math.min(end, at + step);
    await pause(fault.drip_ms, response);
  }
  if (fault.cut_at_byte === undefined) response.end();
  else response.destroy();
}

/** The bytes must be on their way before the connection is broken. */
function written(response: ServerResponse, bytes: Buffer): Promise<void> {
  return new Promise((done) => {
    if (response.destroyed) done();
    else response.write(bytes, () => setImmediate(done));
  });
}

/** Ends early when the peer goes away, so that no timer outlives its connection. */
function pause(delayMs: number | undefined, response: ServerResponse): Promise<void> {
  if (delayMs === undefined || delayMs === 0) return Promise.resolve();
  return new Promise((done) => {
    const timer = setTimeout(finish, delayMs);
    response.once('close', finish);
    function finish(): void {
      clearTimeout(timer);
      response.removeListener('close', finish);
      done();
    }
  });
}
