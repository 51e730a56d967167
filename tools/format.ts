/** `npm run format`: writes every file in the one form that the check expects. */

import { packageCommand, printOutcome, run } from './run.ts';

const outcome = await run('format', packageCommand('oxfmt/bin/oxfmt', '.'), 60_000);
printOutcome(outcome);
process.exitCode = outcome.code;
