/**
 * The upstream of the benchmark, in a process of its own: raw sockets and prepared bytes, so that
 * it costs little beside what is measured. Answers by the model's name (answers.ts).
 *
 *   node test/bench/upstream-process.ts [--faults] [--tls FOLDER]      prints its port on the first line
 *
 * With `--faults` one request in fifty each is refused, cut at once or, when it is a stream, cut after 100 ms, and one in a
 * thousand is told of a rate limit. With `--tls` it speaks HTTPS by `key.pem` and `cert.pem` of the folder.
 */

import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import {
  anthropicStream,
  chatStream,
  chatWhole,
  shapeOf,
  type Shape,
  type StreamAnswer,
} from './answers.ts';

const whole = chatWhole();
const prepared = new Map<string, StreamAnswer>();

function streamAnswer(anthropic: boolean, chunks: number): StreamAnswer {
  const key = `${anthropic} ${chunks}`;
  const known = prepared.get(key);
  if (known !== undefined) return known;
  const made = anthropic ? anthropicStream(chunks) : chatStream(chunks);
  prepared.set(key, made);
  return made;
}

type Running = {
  readonly socket: Socket;
  readonly answer: StreamAnswer;
  readonly paceMs: number;
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
  const { socket, answer, paceMs } = running;
  if (socket.destroyed) return;
  if (running.left === 0) {
    socket.write(answer.closing);
    return;
  }
  running.left -= 1;
  socket.write(answer.content);
  schedule(running, atMs + paceMs);
}

const faulty = process.argv.includes('--faults');
const refused = errorAnswer(500, 'Internal Server Error');
const limited = errorAnswer(429, 'Too Many Requests');
let asked = 0;

function errorAnswer(status: number, reason: string): Buffer {
  const body = JSON.stringify({ error: { message: reason, type: 'server_error', code: null } });
  return Buffer.from(
    `HTTP/1.1 ${status} ${reason}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
}

/** Whether a fault took the place of the answer. */
function failed(socket: Socket, shape: Shape): boolean {
  asked += 1;
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

function answerTo(socket: Socket, path: string, shape: Shape): void {
  if (faulty && failed(socket, shape)) return;
  if (shape.chunks === 0) {
    socket.write(whole);
    return;
  }
  const answer = streamAnswer(path.includes('/messages'), shape.chunks);
  socket.write(answer.opening);
  const paceMs = Math.max(1, shape.paceMs);
  schedule({ socket, answer, paceMs, left: shape.chunks }, Math.floor(performance.now()) + 1);
}

const modelMark = Buffer.from('"model":"');

/** Reads requests one after the other: the head, then as many bytes of body as it says. */
class Peer {
  readonly #socket: Socket;
  #head = '';
  #path = '';
  #left = -1;
  #shape: Shape = { chunks: 0, paceMs: 0 };
  #shapeKnown = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => socket.destroy());
  }

  #take(chunk: Buffer): void {
    const body = this.#left < 0 ? this.#takeHead(chunk) : chunk;
    if (body === undefined) return;
    if (!this.#shapeKnown) this.#lookForModel(body);
    this.#left -= body.length;
    if (this.#left > 0) return;
    this.#left = -1;
    this.#head = '';
    answerTo(this.#socket, this.#path, this.#shape);
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
    this.#shapeKnown = false;
    return chunk.subarray(end + 4 - this.#head.length);
  }

  #lookForModel(body: Buffer): void {
    const at = body.indexOf(modelMark);
    if (at < 0) return;
    const from = at + modelMark.length;
    this.#shape = shapeOf(body.toString('latin1', from, body.indexOf(0x22, from)));
    this.#shapeKnown = true;
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
process.once('disconnect', () => process.exit(0));
process.once('SIGTERM', () => process.exit(0));
