/**
 * The load generator, in a process of its own. Open loop: when each request leaves is drawn from a
 * seeded Poisson process before the run, and its latency counts from that moment, so that a server
 * which stalls cannot slow the questions down. Driven over IPC by the orchestrator.
 */

import { connect, type Socket } from 'node:net';
import { AnswerReader, MarkCounter } from './answer-reader.ts';
import { contentMark } from './answers.ts';
import { machineMs, numberPlace, type LoadJob, type LoadResult } from './load.ts';
import { seededRandom } from './statistics.ts';

const connectionsMax = 12_000;
const failureKindsMax = 8;

/** One connection with at most one request under way. */
class Connection {
  readonly #run: Run;
  readonly #socket: Socket;
  readonly #reader: AnswerReader;
  readonly #counter: MarkCounter;
  #busy = false;
  #number = 0;
  #dueMs = 0;
  #marks = 0;
  #leavesAfter = Infinity;
  #sleeps = false;
  #firstContentAt = 0;
  #lastContentAt = 0;
  #pieces: Buffer[] | undefined;
  #now = 0;

  constructor(run: Run) {
    this.#run = run;
    this.#counter = new MarkCounter(run.job.mark ?? contentMark);
    this.#reader = new AnswerReader({
      body: (piece) => this.#take(piece),
      end: () => this.#complete(),
    });
    this.#socket = connect({ host: '127.0.0.1', port: run.job.port, noDelay: true });
    this.#socket.on('data', (chunk: Buffer) => {
      this.#now = performance.now();
      if (this.#sleeps) this.#sleep();
      this.#reader.take(chunk);
    });
    this.#socket.on('error', (error) => this.#ended(error.message));
    this.#socket.on('close', () => this.#ended('closed'));
  }

  ask(number: number, dueMs: number): void {
    const { job } = this.#run;
    this.#busy = true;
    this.#number = number;
    this.#dueMs = dueMs;
    this.#marks = 0;
    this.#firstContentAt = 0;
    this.#lastContentAt = 0;
    this.#pieces = number < (job.bodiesKept ?? 0) ? [] : undefined;
    this.#leavesAfter = this.#run.leaves(number) ? (job.leaving?.afterMarks ?? Infinity) : Infinity;
    this.#sleeps = this.#run.sleeps(number);
    this.#counter.reset();
    this.#reader.next();
    this.#socket.write(this.#run.requestFor(number));
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #sleep(): void {
    this.#sleeps = false;
    this.#socket.pause();
    setTimeout(() => this.#socket.resume(), this.#run.job.slow?.pauseMs ?? 0);
  }

  #take(piece: Buffer): void {
    this.#pieces?.push(piece);
    const found = this.#counter.count(piece);
    if (found === 0) return;
    this.#marks += found;
    if (this.#firstContentAt === 0) this.#firstContentAt = this.#now;
    else this.#run.gap(this.#now - this.#lastContentAt, this.#now);
    this.#lastContentAt = this.#now;
    if (this.#marks >= this.#leavesAfter) this.#leave();
  }

  #leave(): void {
    this.#busy = false;
    this.#run.left(this.#number, this.#marks);
    this.#socket.destroy();
  }

  #complete(): void {
    // Bytes that were read together with the last ones before the client left.
    if (!this.#busy) return;
    const { job } = this.#run;
    const { status, closes } = this.#reader;
    this.#busy = false;
    if (status === (job.status ?? 200) && this.#marks === job.marks) {
      const at = this.#firstContentAt === 0 ? this.#now : this.#firstContentAt;
      if (this.#pieces !== undefined) this.#run.keep(this.#pieces);
      this.#run.answered(at - this.#dueMs, this.#now - this.#dueMs, this.#marks);
    } else this.#run.failed(`status ${status}, ${this.#marks} marks`);
    if (closes) this.destroy();
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
  readonly #bodies: Uint8Array[] = [];
  readonly #left: (readonly [number, number])[] = [];
  readonly #failureKinds: Record<string, number> = {};
  readonly #numberAt: readonly number[];
  readonly #cpuAtStart = process.cpuUsage();
  #next = 0;
  #marks = 0;
  #failures = 0;
  #firstFailure = '';
  #connections = 0;
  #finished = false;
  readonly #limit: NodeJS.Timeout;

  constructor(job: LoadJob, done: (result: LoadResult) => void) {
    this.job = job;
    this.#done = done;
    this.#numberAt = job.requests.map((request) => Buffer.from(request).indexOf(numberPlace));
    this.#due = job.atOnce === undefined ? scheduleOf(job) : new Float64Array(0);
    this.#startedAt = performance.now() + 5;
    this.#limit = setTimeout(() => this.#finish(), job.limitMs);
    if (job.atOnce === undefined) this.#wait();
    else for (let lane = 0; lane < job.atOnce; lane += 1) this.#follow();
  }

  requestFor(number: number): Uint8Array {
    const index = number % this.job.requests.length;
    const request = this.job.requests[index] ?? new Uint8Array(0);
    const at = this.#numberAt[index] ?? -1;
    if (at < 0) return request;
    const own = Buffer.from(request);
    own.write(String(number).padStart(8, '0'), at + 2, 'latin1');
    return own;
  }

  leaves(number: number): boolean {
    const { leaving } = this.job;
    return leaving !== undefined && isChosen(number, leaving.share);
  }

  sleeps(number: number): boolean {
    const { slow } = this.job;
    return slow !== undefined && isChosen(number, slow.share);
  }

  #wait(): void {
    const dueAt = this.#startedAt + (this.#due[this.#next] ?? 0);
    setTimeout(() => this.#send(), Math.max(0, dueAt - performance.now()));
  }

  #send(): void {
    for (; this.#next < this.job.count && !this.#finished; this.#next += 1) {
      const now = performance.now();
      const dueAt = this.#startedAt + (this.#due[this.#next] ?? 0);
      if (dueAt > now) return this.#wait();
      this.#lag.push(now - dueAt);
      this.#ask(dueAt);
    }
  }

  /** The next request of a lane, as soon as the one before has been answered. */
  #follow(): void {
    if (this.#finished || this.#next >= this.job.count) return;
    this.#ask(performance.now());
    this.#next += 1;
  }

  #ask(dueAt: number): void {
    const connection = this.#free.pop() ?? this.#open();
    if (connection === undefined) this.failed('too many connections');
    else connection.ask(this.#next, dueAt);
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

  gap(ms: number, now: number): void {
    const [from, until] = this.job.gapsBetweenMs ?? [0, Infinity];
    const at = now - this.#startedAt;
    if (at >= from && at <= until) this.#gaps.push(ms);
  }

  keep(pieces: readonly Buffer[]): void {
    this.#bodies.push(Buffer.concat(pieces));
  }

  answered(firstContentMs: number, totalMs: number, marks: number): void {
    this.#firstContent.push(firstContentMs);
    this.#total.push(totalMs);
    this.#marks += marks;
    this.#settle();
  }

  left(number: number, marks: number): void {
    this.#left.push([number, machineMs()]);
    this.#marks += marks;
    this.#settle();
  }

  failed(reason: string): void {
    if (this.#finished) return;
    this.#failures += 1;
    if (this.#firstFailure === '') this.#firstFailure = reason;
    const known = this.#failureKinds[reason];
    if (known !== undefined || Object.keys(this.#failureKinds).length < failureKindsMax)
      this.#failureKinds[reason] = (known ?? 0) + 1;
    this.#settle();
  }

  #settle(): void {
    if (this.#total.length + this.#failures + this.#left.length >= this.job.count) this.#finish();
    // Not from within: a connection that just failed is still among the open ones.
    else if (this.job.atOnce !== undefined) setImmediate(() => this.#follow());
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    clearTimeout(this.#limit);
    const answered = this.#total.length;
    const cpu = process.cpuUsage(this.#cpuAtStart);
    const silent = this.job.count - answered - this.#left.length - this.#failures;
    const unanswered = this.job.atOnce === undefined ? silent : 0;
    if (unanswered > 0) this.#failureKinds['no answer in time'] = unanswered;
    for (const connection of this.#all) connection.destroy();
    this.#done({
      firstContentMs: Float64Array.from(this.#firstContent),
      totalMs: Float64Array.from(this.#total),
      gapMs: Float32Array.from(this.#gaps),
      lagMs: Float64Array.from(this.#lag),
      answered,
      marks: this.#marks,
      failures: this.#failures + unanswered,
      firstFailure: this.#firstFailure || (unanswered > 0 ? 'no answer in time' : ''),
      failureKinds: this.#failureKinds,
      connections: this.#connections,
      generatorCpuMs: (cpu.user + cpu.system) / 1_000,
      elapsedMs: performance.now() - this.#startedAt,
      bodies: this.#bodies,
      left: this.#left,
    });
  }
}

/** Spreads a share evenly over the numbers: of ten at 0.3, numbers 0, 3 and 6. */
function isChosen(number: number, share: number): boolean {
  return Math.ceil((number + 1) * share) > Math.ceil(number * share);
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
  new Run(job, (result) => process.send?.(result));
});
process.once('disconnect', () => process.exit(0));
