/** The long model check (T-B3): `node test/crash/ledger-model.ts [commands] [seed]`. Prints one line of JSON. */

import { checkModel } from '../contract/ledger-model-run.ts';

const commandsMin = Number(process.argv[2] ?? 1_000_000);
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000_000);
const start = performance.now();
console.error(`seed ${seed}`);
const commands = await checkModel({ seed, commandsMin, lengthMax: 400 });
console.log(
  JSON.stringify({
    test: 'T-B3',
    seed,
    commands,
    violations: 0,
    seconds: Math.round((performance.now() - start) / 1000),
  }),
);
