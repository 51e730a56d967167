/**
 * An application with the official SDK: `network-client.ts ARMS ROUNDS LANES`, where ARMS is JSON:
 * `[{name, baseURL, key, mode}]`. Every lane asks every arm once a round, in an order drawn by lot, so that
 * whatever else the machine and the link do meets all arms alike. Prints the times to first content as JSON.
 *
 * `kept` is the best that a client can have: every lane keeps its own connection, opened before anything is
 * measured. `fresh` opens one for each request.
 */

import OpenAI from 'openai';
import { Agent, fetch as undiciFetch } from 'undici';
import { seededRandom } from '#std';

type Arm = {
  readonly name: string;
  readonly baseURL: string;
  readonly key: string;
  readonly mode: 'fresh' | 'kept';
};

const [armsText = '[]', rounds = '', lanes = ''] = process.argv.slice(2);
const arms = JSON.parse(armsText) as readonly Arm[];
const random = seededRandom(1);

function clientOf({ baseURL, key }: Arm, agent: Agent): OpenAI {
  const fetchWith = (
    url: Parameters<typeof undiciFetch>[0],
    init: Parameters<typeof undiciFetch>[1],
  ) => undiciFetch(url, { ...init, dispatcher: agent });
  return new OpenAI({
    baseURL,
    apiKey: key,
    maxRetries: 0,
    timeout: 60_000,
    fetch: fetchWith as unknown as typeof fetch,
  });
}

async function firstContentMs(client: OpenAI): Promise<number> {
  const startedAtMs = performance.now();
  let first: number | undefined;
  const stream = await client.chat.completions.create({
    model: 'm',
    stream: true,
    messages: [{ role: 'user', content: 'Hello' }],
  });
  for await (const part of stream) {
    if (first === undefined && (part.choices[0]?.delta.content ?? '') !== '')
      first = performance.now() - startedAtMs;
  }
  if (first === undefined) throw new Error('no content');
  return first;
}

/** One lane's way to one arm. */
class Way {
  readonly #arm: Arm;
  #kept: { readonly agent: Agent; readonly client: OpenAI } | undefined;

  constructor(arm: Arm) {
    this.#arm = arm;
  }

  async ask(): Promise<number> {
    const { agent, client } = this.#kept ?? this.#open();
    try {
      return await firstContentMs(client);
    } finally {
      if (this.#arm.mode === 'fresh') await agent.close();
    }
  }

  #open(): { readonly agent: Agent; readonly client: OpenAI } {
    const agent = new Agent({ keepAliveTimeout: 60_000, allowH2: false });
    const opened = { agent, client: clientOf(this.#arm, agent) };
    if (this.#arm.mode === 'kept') this.#kept = opened;
    return opened;
  }

  async close(): Promise<void> {
    await this.#kept?.agent.close();
  }
}

/** By round, then by arm; `null` where an error came. */
const times: (number | null)[][] = [];
const errors: string[] = [];
const warmUpRounds = 3;
let left = Number(rounds) + warmUpRounds * Number(lanes);

function shuffled(count: number): readonly number[] {
  const order = Array.from({ length: count }, (_, index) => index);
  for (let at = count - 1; at > 0; at -= 1) {
    const other = Math.floor(random() * (at + 1));
    [order[at], order[other]] = [order[other] ?? 0, order[at] ?? 0];
  }
  return order;
}

async function lane(): Promise<void> {
  const ways = arms.map((arm) => new Way(arm));
  for (let round = 0; left > 0; round += 1) {
    left -= 1;
    const row: (number | null)[] = arms.map(() => null);
    for (const index of shuffled(arms.length)) {
      try {
        row[index] = (await ways[index]?.ask()) ?? null;
      } catch (error) {
        errors.push(
          `${arms[index]?.name}: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    }
    if (round >= warmUpRounds) times.push(row);
  }
  for (const way of ways) await way.close();
}

await Promise.all(Array.from({ length: Number(lanes) }, lane));
console.log(JSON.stringify({ times, errors }));
