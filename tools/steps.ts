/** The static part of the gate and the sets of test files: shared by check.ts and test.ts. */

import { globSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Outcome } from './run.ts';
import { packageCommand, printOutcome, root, run } from './run.ts';

export type Step = { readonly name: string; readonly command: readonly string[] };

const stepLimitMs = 5 * 60_000;
const testTimeoutMs = 6 * 60_000;

/** What has not changed since the last run is not read again. */
const rememberTypes = ['--incremental', '--tsBuildInfoFile', '.cache/types.json'];
const rememberImports = ['--cache', '--cache-location', '.cache/knip'];

/** The longest first, so that two of them fill two cores to the end. */
export const staticSteps: readonly Step[] = [
  {
    name: 'lint',
    command: packageCommand('oxlint/bin/oxlint', '--type-aware', 'src', 'test', 'tools'),
  },
  {
    name: 'knip',
    command: packageCommand('knip/bin/knip.js', '--no-progress', ...rememberImports),
  },
  {
    name: 'types',
    command: packageCommand('typescript/bin/tsc', '--noEmit', '--project', '.', ...rememberTypes),
  },
  { name: 'tidy', command: [process.execPath, path.join(root, 'tools', 'tidy.ts')] },
  { name: 'format', command: packageCommand('oxfmt/bin/oxfmt', '--check', '.') },
];

/**
 * Sets of test files by name. A `*.long.test.ts` stands beside its file, but is too slow for the gate
 * of every change. What needs a quarter of an hour, other people's programs or a machine of its own
 * (crash, soak, clients, bench) has a command of its own and is in none of them.
 */
export const suites: { readonly [name: string]: readonly string[] } = {
  unit: ['src/**/!(*.long).test.ts', 'tools/**/!(*.long).test.ts', 'test/support/**/*.test.ts'],
  contract: [
    'src/**/*.long.test.ts',
    'tools/**/*.long.test.ts',
    'test/contract/**/*.test.ts',
    'test/raw-http/**/*.test.ts',
    'test/crash/**/*.test.ts',
    'test/bench/**/*.test.ts',
  ],
  scenarios: ['test/scenarios/**/*.test.ts'],
  recordings: ['test/recordings/**/*.test.ts', 'test/cross-dialect/**/*.test.ts'],
};

export function filesOf(suite: string): string[] {
  return globSync([...(suites[suite] ?? [])], { cwd: root }).sort();
}

/** node's own test runner over these files; `rest` goes to it unchanged. */
export function testCommand(files: readonly string[], rest: readonly string[] = []): string[] {
  const width = `--test-concurrency=${os.availableParallelism()}`;
  return [process.execPath, '--test', width, `--test-timeout=${testTimeoutMs}`, ...rest, ...files];
}

/** Runs the steps, as many at a time as there are cores, and prints each one as it ends. */
export async function runSteps(steps: readonly Step[]): Promise<Outcome[]> {
  const waiting = [...steps];
  const outcomes: Outcome[] = [];
  const lane = async (): Promise<void> => {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
      const outcome = await run(step.name, step.command, stepLimitMs);
      outcomes.push(outcome);
      printOutcome(outcome);
    }
  };
  await Promise.all(Array.from({ length: os.availableParallelism() }, lane));
  return outcomes;
}

export function failedNames(outcomes: readonly Outcome[]): string[] {
  return outcomes.filter(({ code }) => code !== 0).map(({ name }) => name);
}
