/**
 * The load generator, in a process of its own. Open loop: when each request leaves is drawn from a
 * seeded Poisson process before the run, and its latency counts from that moment, so that a server
 * which stalls cannot slow the questions down. Driven over IPC by the orchestrator.
 */

import { connect, type Socket } from 'node:net';
import { contentMark } from './answers.ts';
import type { LoadJob, LoadResult } from './load.ts';
import { seededRandom } from './statistics.ts';

const mark = Buffer.from(contentMark);
const [markFirst = 0, markSecond = 0] = mark;
const connectionsMax = 12_000;

/** One connection with at most one request under way. */
class Connection {
  readonly #run: Run;
  readonly #socket: Socket;
  #busy = false;
  #dueMs = 0;
  #head = '';
  #inHead = true;
  #status = 0;
  #left = 0;
  #chunked = false;
  #closes = false;
  #tail = '';
  #marks = 0;
  #lastByte = 0;
  #firstContentAt = 0;
  #lastContentAt = 0;

  constructor(run: Run) {
    this.#run = run;
    this.#socket = connect({ host: '127.0.0.1', port: run.job.port, noDelay: true });
    this.#socket.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#socket.on('error', (error) => this.#ended(error.message));
    this.#socket.on('close', () => this.#ended('closed'));
  }

  ask(dueMs: number): void {
    this.#busy = true;
    this.#dueMs = dueMs;
    this.#head = '';
    this.#tail = '';
    this.#inHead = true;
    this.#marks = 0;
    this.#lastByte = 0;
    this.#firstContentAt = 0;
    this.#lastContentAt = 0;
    this.#socket.write(this.#run.job.request);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    const now = performance.now();
    const body = this.#inHead ? this.#takeHead(chunk) : chunk;
    if (body === undefined || body.length === 0) return;
    this.#countMarks(body, now);
    if (this.#chunked) {
      this.#tail = (this.#tail + body.toString('latin1', Math.max(0, body.length - 5))).slice(-5);
      if (this.#tail === '0\r\n\r\n') this.#complete(now);
    } else {
      this.#left -= body.length;
      if (this.#left <= 0) this.#complete(now);
    }
  }

  #takeHead(chunk: Buffer): Buffer | undefined {
    const before = this.#head.length;
    this.#head += chunk.toString('latin1');
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    const head = this.#head.slice(0, end);
    this.#inHead = false;
    this.#status = Number(head.slice(9, 12));
    this.#chunked = /\r\ntransfer-encoding: *chunked/i.test(head);
    this.#closes = /\r\nconnection: *close/i.test(head);
    this.#left = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    return chunk.subarray(end + 4 - before);
  }

  #countMarks(body: Buffer, now: number): void {
    let found = this.#lastByte === markFirst && body[0] === markSecond ? 1 : 0;
    for (let at = body.indexOf(mark); at >= 0; at = body.indexOf(mark, at + 2)) found += 1;
    this.#lastByte = body[body.length - 1] ?? 0;
    if (found === 0) return;
    this.#marks += found;
    if (this.#firstContentAt === 0) this.#firstContentAt = now;
    else this.#run.gap(now - this.#lastContentAt);
    this.#lastContentAt = now;
  }

  #complete(now: number): void {
    this.#busy = false;
    const right = this.#status === 200 && this.#marks === this.#run.job.marks;
    if (right)
      this.#run.answered(this.#firstContentAt - this.#dueMs, now - this.#dueMs, this.#marks);
    else this.#run.failed(`status ${this.#status}, ${this.#marks} marks`);
    if (this.#closes) this.destroy();
    else this.#run.idle(this);
  }

  #ended(reason: string): void {
    this.#run.gone(this);
    if (!this.#busy) return;
    this.#busy = false;
    this.#run.failed(reason);
  }
}

/** One run: the schedule, the connections and the counts. */
class Run {
  readonly job: LoadJob;
  readonly #due: Float64Array;
  readonly #startedAt: number;
  readonly #done: (result: LoadResult) => void;
  readonly #all = new Set<Connection>();
  readonly #free: Connection[] = [];
  readonly #firstContent: number[] = [];
  readonly #total: number[] = [];
  readonly #gaps: number[] = [];
  readonly #lag: number[] = [];
  readonly #cpuAtStart = process.cpuUsage();
  #next = 0;
  #marks = 0;
  #failures = 0;
  #firstFailure = '';
  #connections = 0;
  #limit: NodeJS.Timeout;

  constructor(job: LoadJob, done: (result: LoadResult) => void) {
    this.job = job;
    this.#done = done;
    this.#due = scheduleOf(job);
    this.#startedAt = performance.now() + 5;
    this.#limit = setTimeout(() => this.#finish(), job.limitMs);
    this.#wait();
  }

  #wait(): void {
    const dueAt = this.#startedAt + (this.#due[this.#next] ?? 0);
    setTimeout(() => this.#send(), Math.max(0, dueAt - performance.now()));
  }

  #send(): void {
    for (; this.#next < this.job.count; this.#next += 1) {
      const now = performance.now();
      const dueAt = this.#startedAt + (this.#due[this.#next] ?? 0);
      if (dueAt > now) return this.#wait();
      this.#lag.push(now - dueAt);
      const connection = this.#free.pop() ?? this.#open();
      if (connection === undefined) this.failed('too many connections');
      else connection.ask(dueAt);
    }
  }

  #open(): Connection | undefined {
    if (this.#all.size >= connectionsMax) return undefined;
    const connection = new Connection(this);
    this.#all.add(connection);
    this.#connections += 1;
    return connection;
  }

  idle(connection: Connection): void {
    this.#free.push(connection);
  }

  gone(connection: Connection): void {
    this.#all.delete(connection);
    const at = this.#free.indexOf(connection);
    if (at >= 0) this.#free.splice(at, 1);
  }

  gap(ms: number): void {
    this.#gaps.push(ms);
  }

  answered(firstContentMs: number, totalMs: number, marks: number): void {
    this.#firstContent.push(firstContentMs);
    this.#total.push(totalMs);
    this.#marks += marks;
    this.#settle();
  }

  failed(reason: string): void {
    this.#failures += 1;
    if (this.#firstFailure === '') this.#firstFailure = reason;
    this.#settle();
  }

  #settle(): void {
    if (this.#total.length + this.#failures >= this.job.count) this.#finish();
  }

  #finish(): void {
    clearTimeout(this.#limit);
    const answered = this.#total.length;
    const cpu = process.cpuUsage(this.#cpuAtStart);
    for (const connection of this.#all) connection.destroy();
    this.#done({
      firstContentMs: Float64Array.from(this.#firstContent),
      totalMs: Float64Array.from(this.#total),
      gapMs: Float32Array.from(this.#gaps),
      lagMs: Float64Array.from(this.#lag),
      answered,
      marks: this.#marks,
      failures: this.job.count - answered,
      firstFailure: this.#firstFailure,
      connections: this.#connections,
      generatorCpuMs: (cpu.user + cpu.system) / 1_000,
      elapsedMs: performance.now() - this.#startedAt,
    });
  }
}

function scheduleOf({ count, rate, seed }: LoadJob): Float64Array {
  const random = seededRandom(seed);
  const due = new Float64Array(count);
  let atMs = 0;
  for (let index = 0; index < count; index += 1) {
    due[index] = atMs;
    atMs += (-Math.log(1 - random()) / rate) * 1_000;
  }
  return due;
}

process.on('message', (job: LoadJob) => {
  let reported = false;
  new Run(job, (result) => {
    if (!reported) process.send?.(result);
    reported = true;
  });
});
process.once('disconnect', () => process.exit(0));
