/** What the orchestrator and the load process say to each other. */

export type LoadJob = {
  readonly port: number;
  /** Head and body, ready to be written; taken in turn. */
  readonly requests: readonly Uint8Array[];
  /** Requests a second; when each is due is fixed before the run, whatever the answers do. */
  readonly rate: number;
  /**
   * Instead of a schedule, so many requests at once, each followed by the next: for warming up and
   * for finding out what a program can bear. Ends at `limitMs` without counting that as a failure.
   */
  readonly atOnce?: number;
  readonly count: number;
  readonly seed: number;
  /** What the content is counted by; default: `contentMark`. */
  readonly mark?: string;
  /** Content marks that a right answer holds. */
  readonly marks: number;
  /** The status of a right answer; default 200. */
  readonly status?: number;
  readonly limitMs: number;
  /** How many decoded bodies to bring back. */
  readonly bodiesKept?: number;
  /** Only gaps that end in this time after the start are told. */
  readonly gapsBetweenMs?: readonly [from: number, until: number];
  /** Clients that close the connection in the middle of their stream. */
  readonly leaving?: { readonly share: number; readonly afterMarks: number };
  /** Clients that stop reading for a while when the head of the answer has come. */
  readonly slow?: { readonly share: number; readonly pauseMs: number };
};

/** Times in milliseconds, one entry for each request that was answered rightly. */
export type LoadResult = {
  /** From the moment the request was due to the first content. */
  readonly firstContentMs: Float64Array;
  /** From the moment the request was due to the end of the answer. */
  readonly totalMs: Float64Array;
  /** Between two arrivals of content of one stream. */
  readonly gapMs: Float32Array;
  /** How late the generator itself was. */
  readonly lagMs: Float64Array;
  readonly answered: number;
  readonly marks: number;
  readonly failures: number;
  readonly firstFailure: string;
  /** How often each failure came, at most eight kinds. */
  readonly failureKinds: Readonly<Record<string, number>>;
  readonly connections: number;
  readonly generatorCpuMs: number;
  readonly elapsedMs: number;
  readonly bodies: readonly Uint8Array[];
  /** Number of each request whose client left, and when, by the machine's monotonic clock. */
  readonly left: readonly (readonly [number: number, atMs: number])[];
};

/**
 * Stands in the text of a request where the generator writes the number of the request, so that the
 * upstream can say what became of it.
 */
export const numberPlace = '#n00000000';

/** The monotonic clock that all processes of a machine share. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
