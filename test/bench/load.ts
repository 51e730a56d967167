/** What the orchestrator and the load process say to each other. */

export type LoadJob = {
  readonly port: number;
  /** Head and body, ready to be written. */
  readonly request: Uint8Array;
  /** Requests a second; when each is due is fixed before the run, whatever the answers do. */
  readonly rate: number;
  readonly count: number;
  readonly seed: number;
  /** Content marks that a right answer holds. */
  readonly marks: number;
  readonly limitMs: number;
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
  readonly connections: number;
  readonly generatorCpuMs: number;
  readonly elapsedMs: number;
};
