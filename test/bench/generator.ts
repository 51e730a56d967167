/** The load generator's process, seen from the orchestrator: one run at a time. */

import path from 'node:path';
import type { LoadJob, LoadResult } from './load.ts';
import { processors, startPinned, stop, type Started } from './programs.ts';

export class LoadGenerator {
  readonly #started: Started;

  constructor(root: string) {
    const file = path.join(root, 'test', 'bench', 'load-process.ts');
    this.#started = startPinned([process.execPath, file], processors.rig, {}, true);
  }

  run(job: LoadJob): Promise<LoadResult> {
    const { process: child } = this.#started;
    return new Promise((resolve, reject) => {
      const died = (): void =>
        reject(new Error(`the load generator ended: ${this.#started.output()}`));
      child.once('exit', died);
      child.once('message', (result) => {
        child.off('exit', died);
        resolve(result as LoadResult);
      });
      child.send(job);
    });
  }

  close(): Promise<void> {
    return stop(this.#started);
  }
}
