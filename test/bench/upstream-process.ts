/**
 * The upstream of the benchmark, in a process of its own: raw sockets and prepared bytes, so that
 * it costs little beside what is measured. Answers by the model's name (answers.ts).
 *
 *   node test/bench/upstream-process.ts [--faults | --tenth] [--watch] [--tls FOLDER]
 *                                                                 prints its port first
 *
 * With `--faults` one request in fifty each is refused, cut at once or, when it is a stream, cut
 * after 100 ms, and one in a thousand is told of a rate limit. With `--tenth` one request in ten fails
 * before any content: refused, limited, cut, and if it is a stream never answered, in turn. With `--watch` it remembers
 * whose stream was closed before its end, by the number that stands in the request. Over IPC it
 * answers any message with an `UpstreamReport`. With `--tls` it speaks HTTPS by `key.pem` and
 * `cert.pem` of the folder.
 */

import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import {
  anthropicStream,
  chatStream,
  chatWhole,
  geminiStream,
  shapeOf,
  type Shape,
  type StreamAnswer,
} from './answers.ts';
import { machineMs, numberPlace } from './load.ts';

export type UpstreamReport = {
  /** Requests that came. */
  readonly asked: number;
  readonly openSockets: number;
  /** Streams that were closed before their end: the number of the request, and when. */
  readonly closed: readonly (readonly [number: number, atMs: number])[];
};

const whole = chatWhole();
const prepared = new Map<string, StreamAnswer>();
const eventsInPacket = 3;

function streamAnswer(path: string, shape: Shape): StreamAnswer {
  const dialect = path.includes('/messages')
    ? 'anthropic'
    : path.includes('streamGenerateContent')
      ? 'gemini'
      : 'chat';
  const key = `${dialect} ${shape.chunks} ${shape.delivery}`;
  const known = prepared.get(key);
  if (known !== undefined) return known;
  const make = { anthropic: anthropicStream, gemini: geminiStream, chat: chatStream }[dialect];
  const { opening, content, closing } = make(shape);
  const times = shape.delivery === 'packed' ? eventsInPacket : 1;
  const made = { opening, closing, content: Buffer.concat(Array<Buffer>(times).fill(content)) };
  prepared.set(key, made);
  return made;
}

type Running = {
  readonly peer: Peer;
  readonly socket: Socket;
  readonly answer: StreamAnswer;
  readonly paceMs: number;
  readonly inBytes: boolean;
  /** Writes of content that have yet to be made. */
  left: number;
};

/** One timer for all streams: a wheel with a slot for each millisecond. */
const slots: Running[][] = Array.from({ length: 4_096 }, () => []);
let turned = Math.floor(performance.now());

function schedule(running: Running, atMs: number): void {
  slots[atMs % slots.length]?.push(running);
}

function turn(): void {
  const now = Math.floor(performance.now());
  while (turned < now) {
    turned += 1;
    const slot = turned % slots.length;
    const due = slots[slot] ?? [];
    if (due.length === 0) continue;
    slots[slot] = [];
    for (const running of due) step(running, turned);
  }
}

function step(running: Running, atMs: number): void {
  const { peer, socket, answer, paceMs } = running;
  if (socket.destroyed) return;
  if (running.left === 0) {
    peer.streams = false;
    socket.write(answer.closing);
    return;
  }
  running.left -= 1;
  if (running.inBytes) for (const byte of answer.content) socket.write(Buffer.of(byte));
  else socket.write(answer.content);
  schedule(running, atMs + paceMs);
}

const faulty = process.argv.includes('--faults');
const tenth = process.argv.includes('--tenth');
const watches = process.argv.includes('--watch');
const refused = errorAnswer(500, 'Internal Server Error');
const limited = errorAnswer(429, 'Too Many Requests');
let asked = 0;
let openSockets = 0;
const closed: [number, number][] = [];
const closedMax = 100_000;

function errorAnswer(status: number, reason: string): Buffer {
  const body = JSON.stringify({ error: { message: reason, type: 'server_error', code: null } });
  return Buffer.from(
    `HTTP/1.1 ${status} ${reason}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
}

/** Whether a fault took the place of the answer. */
function failed(socket: Socket, shape: Shape): boolean {
  if (tenth) return failedBeforeContent(socket, shape);
  if (asked % 1_000 === 17) {
    socket.write(limited);
    return true;
  }
  switch (asked % 50) {
    case 7:
      socket.write(refused);
      return true;
    case 27:
      socket.destroy();
      return true;
    case 37:
      if (shape.chunks > 0) setTimeout(() => socket.destroy(), 100);
      return false;
    default:
      return false;
  }
}

function failedBeforeContent(socket: Socket, shape: Shape): boolean {
  switch (asked % 40) {
    case 7:
      socket.write(refused);
      return true;
    case 17:
      socket.write(limited);
      return true;
    case 27:
      socket.destroy();
      return true;
    case 37:
      // A whole answer is waited for as long as its tokens may take, which is no fault of routing.
      if (shape.chunks === 0) socket.write(refused);
      return true;
    default:
      return false;
  }
}

function answerTo(peer: Peer, socket: Socket, path: string, shape: Shape): void {
  asked += 1;
  if ((faulty || tenth) && failed(socket, shape)) return;
  if (shape.chunks === 0) {
    socket.write(whole);
    return;
  }
  const answer = streamAnswer(path, shape);
  const times = Math.ceil(shape.chunks / (shape.delivery === 'packed' ? eventsInPacket : 1));
  if (shape.paceMs === 0) {
    const content = Array<Buffer>(times).fill(answer.content);
    socket.write(Buffer.concat([answer.opening, ...content, answer.closing]));
    return;
  }
  socket.write(answer.opening);
  peer.streams = true;
  const inBytes = shape.delivery === 'bytes';
  const { paceMs } = shape;
  schedule(
    { peer, socket, answer, paceMs, inBytes, left: times },
    Math.floor(performance.now()) + 1,
  );
}

const modelMark = Buffer.from('"model":"');
const numberMark = Buffer.from(numberPlace.slice(0, 2));

/** Reads requests one after the other: the head, then as many bytes of body as it says. */
class Peer {
  readonly #socket: Socket;
  #head = '';
  #path = '';
  #left = -1;
  #shape: Shape = { chunks: 0, paceMs: 0 };
  #shapeKnown = false;
  #number = -1;
  /** Whether an answer is under way. */
  streams = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    openSockets += 1;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      openSockets -= 1;
      if (this.streams && watches && closed.length < closedMax)
        closed.push([this.#number, machineMs()]);
    });
  }

  #take(chunk: Buffer): void {
    const body = this.#left < 0 ? this.#takeHead(chunk) : chunk;
    if (body === undefined) return;
    if (!this.#shapeKnown) this.#lookForModel(body);
    if (watches) this.#lookForNumber(body);
    this.#left -= body.length;
    if (this.#left > 0) return;
    this.#left = -1;
    this.#head = '';
    answerTo(this, this.#socket, this.#path, this.#shape);
  }

  #takeHead(chunk: Buffer): Buffer | undefined {
    const text = this.#head + chunk.toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) {
      this.#head = text;
      return undefined;
    }
    const head = text.slice(0, end);
    this.#path = head.slice(head.indexOf(' ') + 1, head.indexOf(' HTTP/'));
    this.#left = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    // Gemini names the model in the path.
    const named = /\/models\/([^:?]+)/.exec(this.#path)?.[1];
    this.#shapeKnown = named !== undefined;
    if (named !== undefined) this.#shape = shapeOf(named);
    return chunk.subarray(end + 4 - this.#head.length);
  }

  #lookForModel(body: Buffer): void {
    const at = body.indexOf(modelMark);
    if (at < 0) return;
    const from = at + modelMark.length;
    this.#shape = shapeOf(body.toString('latin1', from, body.indexOf(0x22, from)));
    this.#shapeKnown = true;
  }

  #lookForNumber(body: Buffer): void {
    const at = body.indexOf(numberMark);
    if (at >= 0) this.#number = Number(body.toString('latin1', at + 2, at + numberPlace.length));
  }
}

setInterval(turn, 1);
const tlsFolder = process.argv.includes('--tls')
  ? process.argv[process.argv.indexOf('--tls') + 1]
  : undefined;

function serverFor(folder: string | undefined): Server {
  if (folder === undefined) return createServer({ noDelay: true }, (socket) => new Peer(socket));
  const read = (name: string): Buffer => readFileSync(path.join(folder, name));
  return createTlsServer(
    { key: read('key.pem'), cert: read('cert.pem') },
    (socket) => new Peer(socket),
  );
}

const server = serverFor(tlsFolder);
server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
process.on('message', () => {
  const report: UpstreamReport = { asked, openSockets, closed };
  process.send?.(report);
});
process.once('disconnect', () => process.exit(0));
process.once('SIGTERM', () => process.exit(0));
