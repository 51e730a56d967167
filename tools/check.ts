/** `npm run check`: types, lint, format, tidy, dead code and unit tests; the gate of every change. */

import type { Step } from './steps.ts';
import { failedNames, filesOf, runSteps, staticSteps, testCommand } from './steps.ts';

/**
 * Modules that only compute. Their tests share one process here, which reads each module once and
 * takes half the time; `npm test` gives every file a process of its own.
 */
const isPure = /^src[\\/](std|canonical|dialects|providers|catalog|metering|ledger|routing)[\\/]/;

function unitSteps(): Step[] {
  const files = filesOf('unit');
  const pure = files.filter((file) => isPure.test(file));
  const others = files.filter((file) => !isPure.test(file));
  const short = '--test-reporter=dot';
  return [
    { name: 'unit', command: testCommand(others, [short]) },
    { name: 'pure', command: testCommand(pure, [short, '--test-isolation=none']) },
  ];
}

const startMs = performance.now();
const failed = failedNames(await runSteps([...unitSteps(), ...staticSteps]));
const seconds = ((performance.now() - startMs) / 1000).toFixed(1);

console.log(
  failed.length === 0
    ? `check: all right, ${seconds} s`
    : `check: ${failed.join(', ')} failed, ${seconds} s`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
