/**
 * An application with the official SDK: `network-client.ts BASE_URL KEY fresh|kept REQUESTS LANES`.
 * Prints the times to first content and the errors as JSON. `kept` is the best a direct client can
 * have: every lane keeps its own connection, opened before anything is measured.
 */

import OpenAI from 'openai';
import { Agent, fetch as undiciFetch } from 'undici';

const [baseURL = '', apiKey = '', mode = '', requests = '', lanes = ''] = process.argv.slice(2);

function clientOf(agent: Agent): OpenAI {
  const fetchWith = (
    url: Parameters<typeof undiciFetch>[0],
    init: Parameters<typeof undiciFetch>[1],
  ) => undiciFetch(url, { ...init, dispatcher: agent });
  return new OpenAI({
    baseURL,
    apiKey,
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

const times: number[] = [];
const errors: string[] = [];
let left = Number(requests);

async function lane(): Promise<void> {
  let agent = new Agent({ keepAliveTimeout: 60_000, allowH2: false });
  let client = clientOf(agent);
  if (mode === 'kept') await firstContentMs(client).catch(() => undefined);
  while (left > 0) {
    left -= 1;
    try {
      times.push(await firstContentMs(client));
    } catch (error) {
      errors.push(error instanceof Error ? error.message : String(error));
    }
    if (mode === 'kept') continue;
    await agent.close();
    agent = new Agent({ allowH2: false });
    client = clientOf(agent);
  }
  await agent.close();
}

await Promise.all(Array.from({ length: Number(lanes) }, lane));
console.log(JSON.stringify({ times, errors }));
