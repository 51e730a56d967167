/**
 * `npm test`: the static checks, then every test file in one run of node's test runner, whose closing
 * lines and exit code are the answer. `npm test -- unit` runs one suite alone, without the checks;
 * `npm test -- --grep 'text of a name'` and options of node's runner narrow it further.
 */

import { spawn } from 'node:child_process';
import { root } from './run.ts';
import { failedNames, filesOf, runSteps, staticSteps, suites, testCommand } from './steps.ts';

/** A guard against hanging on a slow machine, not the goal: that is ten minutes on two cores. */
const wholeLimitMs = 30 * 60_000;

async function main(): Promise<number> {
  const words = process.argv.slice(2);
  const chosen = words.filter((word) => suites[word] !== undefined);
  const names = chosen.length > 0 ? chosen : Object.keys(suites);
  const rest = words.filter((word) => suites[word] === undefined).map(asRunnerOption);
  const failed = words.length === 0 ? failedNames(await runSteps(staticSteps)) : [];
  const empty = names.filter((name) => filesOf(name).length === 0);
  for (const name of empty) console.log(`there are no tests in ${suites[name]?.join(', ')}`);
  const files = names.flatMap(filesOf);
  if (files.length === 0) return 1;
  const code = await runTests(testCommand(files, rest));
  if (failed.length > 0)
    console.error(`failed before the tests: ${failed.join(', ')} (npm run check shows them)`);
  const partsMissing = process.env['CI'] === 'true' && empty.length > 0;
  return code !== 0 ? code : failed.length > 0 || partsMissing ? 1 : 0;
}

/** `--grep=name` reads better than the runner's own word for it. */
function asRunnerOption(word: string): string {
  return word.replace(/^--grep(?==|$)/, '--test-name-pattern');
}

function runTests(command: readonly string[]): Promise<number> {
  const [program = '', ...programArguments] = command;
  return new Promise((resolve) => {
    const child = spawn(program, programArguments, {
      cwd: root,
      stdio: 'inherit',
      timeout: wholeLimitMs,
    });
    child.once('error', (error) => {
      console.error(`the test runner does not start: ${error.message}`);
      resolve(1);
    });
    child.once('close', (code) => resolve(code ?? 1));
  });
}

process.exitCode = await main();
