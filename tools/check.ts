/** `npm run check`: types, lint, format, tidy, dead code and unit tests; the gate of every change. */

import { failedNames, filesOf, runSteps, staticSteps, testCommand } from './steps.ts';

const startMs = performance.now();
const unit = { name: 'unit', command: testCommand(filesOf('unit'), ['--test-reporter=dot']) };
const failed = failedNames(await runSteps([unit, ...staticSteps]));
const seconds = ((performance.now() - startMs) / 1000).toFixed(1);

console.log(
  failed.length === 0
    ? `check: all right, ${seconds} s`
    : `check: ${failed.join(', ')} failed, ${seconds} s`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
