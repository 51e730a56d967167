/** What the first lines of a server say: enough for a first request without reading anything else. */

import { formatUsd, nanoUsd } from '#std';
import type { Config } from './config.ts';
import { operatorTokenPath } from './control-services.ts';
import { controlPrefix } from './lazy-control.ts';
import type { Output } from './output.ts';
import type { Books } from './runtime.ts';

/** What a newcomer can spend on the simulator: enough for some thousand answers. */
const demoNanoUsd = nanoUsd(5_000_000_000);
const demoWallet = 'wallet_demo';

export type Greeting = {
  readonly books: Books;
  readonly models: number;
  readonly url: string;
  readonly file: string | undefined;
  readonly config: Config;
};

/** The first start makes a wallet with demo money and a key, and shows the key this one time. */
export async function greet(greeting: Greeting, output: Output): Promise<void> {
  const { books, models, url, file, config } = greeting;
  output.line(
    `Manifold listens on ${url} · ${models} models · ${file ?? 'no configuration file, defaults'}`,
  );
  const token =
    config.operator_token === undefined
      ? `the operator token in ${operatorTokenPath(config)}`
      : 'the configured operator token';
  output.line(`Control API: ${url}${controlPrefix}/openapi.json, with ${token}`);
  const keys = await books.access.listKeys({ limit: 1 });
  if (keys.length > 0) return;
  const key = await firstKey(books);
  const first = config.simulator
    ? ['Try it (the built-in simulator answers, no vendor key needed):', ...curl(url, key)]
    : [`List what it may use: curl ${url}/v1/models -H 'Authorization: Bearer ${key}'`];
  const lines = [
    '',
    `Your first key, with ${formatUsd(demoNanoUsd)} USD of demo balance. It is shown this once:`,
    `  ${key}`,
    '',
    ...first,
    '',
    'Real models appear when a key is in the environment: OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, …',
  ];
  for (const line of lines) output.line(line);
}

async function firstKey(books: Books): Promise<string> {
  await books.ledger.credit({
    walletId: demoWallet,
    amountNanoUsd: demoNanoUsd,
    lotKind: 'demo',
    source: 'setup',
    eventId: 'first-start',
    actor: 'setup',
  });
  const { key } = await books.access.createKey({ name: 'first key', walletId: demoWallet });
  return key;
}

function curl(url: string, key: string): readonly string[] {
  const body = {
    model: 'sim-chat',
    stream: true,
    stream_options: { include_usage: true },
    messages: [{ role: 'user', content: 'Hello!' }],
  };
  return [
    `  curl -N ${url}/v1/chat/completions -H 'Authorization: Bearer ${key}' -H 'Content-Type: application/json' \\`,
    `    -d '${JSON.stringify(body)}'`,
  ];
}
