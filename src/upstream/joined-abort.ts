/**
 * One signal for several reasons to stop: other signals, a time, or whoever made it. In the place of
 * `AbortSignal.any`, which keeps its results by weak references: in Node 24.21 one of sixty was never
 * aborted while the heap was collected often.
 */
export class JoinedAbort {
  readonly #controller = new AbortController();
  readonly #sources: readonly AbortSignal[];
  readonly #timer: NodeJS.Timeout;

  /** `timeoutMs` up to 2^31 - 1. Keeps no process alive. */
  constructor(sources: readonly AbortSignal[], timeoutMs: number) {
    this.#sources = sources;
    const late = (): void => this.abort(new DOMException('It took too long.', 'TimeoutError'));
    this.#timer = setTimeout(late, timeoutMs).unref();
    const aborted = sources.find((source) => source.aborted);
    if (aborted) this.abort(aborted.reason);
    else for (const source of sources) source.addEventListener('abort', this, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason?: unknown): void {
    this.#controller.abort(reason);
    this.release();
  }

  /** A source was aborted. */
  handleEvent({ target }: Event): void {
    this.abort(target instanceof AbortSignal ? target.reason : undefined);
  }

  /** The work is over: until then sources and timer hold it. */
  release(): void {
    clearTimeout(this.#timer);
    for (const source of this.#sources) source.removeEventListener('abort', this);
  }
}
