import { test } from 'node:test';
import { checkModel } from './ledger-model-run.ts';

const seed = Number(process.env['LEDGER_MODEL_SEED'] ?? 20_261_123);

test(`random scripts agree with a naive model (seed ${seed})`, async () => {
  await checkModel({ seed, commandsMin: 8000, lengthMax: 120 });
});
