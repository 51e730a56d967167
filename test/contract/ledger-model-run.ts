import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { openFixture } from './ledger-fixture.ts';
import { compareWithModel, programs } from './ledger-programs.ts';
import type { LedgerFixture } from './ledger-script.ts';

export type ModelRun = {
  readonly seed: number;
  readonly commandsMin: number;
  /** Bursts in one program, at most. */
  readonly lengthMax: number;
  readonly open?: () => Promise<LedgerFixture>;
};

/** Runs programs until `commandsMin` commands agreed; throws with the shrunken program otherwise. */
export async function checkModel(run: ModelRun): Promise<number> {
  let commands = 0;
  let round = 0;
  while (commands < run.commandsMin) {
    await fc.assert(
      fc.asyncProperty(programs(run.lengthMax), async (program) => {
        const fixture = await (run.open ?? openTemporary)();
        try {
          commands += await compareWithModel(fixture, program);
        } finally {
          await fixture.close();
        }
      }),
      { seed: run.seed + round, numRuns: 20, endOnFailure: process.env['MODEL_NO_SHRINK'] === '1' },
    );
    round += 1;
  }
  return commands;
}

/** Flushing is off: the model looks at decisions, the crash tests look at the disk. */
function openTemporary(): Promise<LedgerFixture> {
  const folder = mkdtempSync(join(tmpdir(), 'manifold-model-'));
  return openFixture(
    join(folder, 'ledger.db'),
    async () => rmSync(folder, { recursive: true, force: true }),
    'OFF',
  );
}
