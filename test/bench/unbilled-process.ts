/**
 * The same gateway with a ledger that promises everything and writes nothing: its distance to the
 * real one is what durable billing costs. Only for measuring; the program has no such switch.
 *
 *   node test/bench/unbilled-process.ts CONFIG_FILE      prints its port on the first line
 */

import { readFileSync } from 'node:fs';
import { configSchema, createRuntime, openBooks } from '#cli';
import { createGateway } from '#gateway';
import { unbilled } from './unbilled.ts';

const config = configSchema.parse(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')));
const books = await openBooks(config);
const runtime = await createRuntime({ config, environment: {}, books: unbilled(books), extra: [] });
const front = createGateway({
  services: runtime.services,
  listener: { host: '127.0.0.1', port: 0 },
  limits: { bodyBytesMax: config.limits.body_bytes, heldBytesMax: config.limits.held_bytes },
});
const { port } = await front.listen();
process.stdout.write(`${port}\n`);
process.once('SIGTERM', () => process.exit(0));
