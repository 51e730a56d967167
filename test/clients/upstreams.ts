/**
 * The simulated vendors: each speaks one dialect only, under the name of a model that is served so in
 * truth, with the prices and peculiarities of the catalog. What they say is written here.
 */

import type { DialectId, Usage } from '#canonical';
import type { ScriptedCall, Turn } from '#simulator';
import { startRig, type Rig } from '../scenarios/rig.ts';

export type Upstream = {
  readonly id: string;
  readonly dialect: DialectId;
  /** The name that clients ask for. */
  readonly model: string;
  /** The model of the catalog behind it, where the name is an alias. */
  readonly stands?: string;
};

export const upstreams = [
  { id: 'anthropic', dialect: 'anthropic-messages', model: 'claude-opus-4-6' },
  { id: 'gemini', dialect: 'gemini-generate', model: 'gemini-3.5-flash' },
  // Under its own name some chat clients would leave their dialect for it.
  { id: 'openai', dialect: 'openai-responses', model: 'house-coder', stands: 'gpt-5.3-codex' },
  { id: 'moonshot', dialect: 'openai-chat', model: 'kimi-k2.5' },
] as const satisfies readonly Upstream[];

/** Upstreams of another dialect than the client's. */
export function foreignTo(dialect: DialectId): readonly Upstream[] {
  return upstreams.filter((upstream) => upstream.dialect !== dialect);
}

/** What a program must have seen of one turn; tokens are totals. */
export type ExpectedTurn = {
  readonly text: string;
  readonly calls: readonly { readonly name: string; readonly input: unknown }[];
  readonly usage: { readonly input: number; readonly cached: number; readonly output: number };
  /** Reasoning tokens within the output. */
  readonly thoughts: number;
};

const cities = ['Zürich', '東京'];
const calling: Usage = {
  inputTokens: 120,
  cacheReadTokens: 40,
  outputTokens: 30,
  reasoningTokens: 12,
};
const telling: Usage = {
  inputTokens: 90,
  cacheReadTokens: 160,
  outputTokens: 25,
  reasoningTokens: 0,
};
const lookText = 'I look outside … 🔭 ';
const reportText = 'Zürich and 東京: 21 °C, both sunny. 🌤️';

/** State that the vendor gives with the calls and wants back with their results. */
export const sealedState = Buffer.from('only the vendor can read this').toString('base64');

export const expectedTurns: readonly ExpectedTurn[] = [
  {
    text: lookText,
    calls: cities.map((city) => ({ name: 'get_weather', input: { city } })),
    usage: { input: 160, cached: 40, output: 42 },
    thoughts: 12,
  },
  { text: reportText, calls: [], usage: { input: 250, cached: 160, output: 25 }, thoughts: 0 },
];

/** The results that the second request must bring to the upstream. */
export function expectedResults(nonce: string): readonly string[] {
  return cities.map((city) => `${city}: 21 °C, sunny ${nonce}`);
}

export const agentQuestion = 'Read the file note.txt in this folder and say what is in it.';

export function agentAnswer(nonce: string): string {
  return `The note says 🍊-${nonce}-🍊.`;
}

/** What the agents' own tools want to hear, by the names they have there. */
function agentCalls(noteFile: string): readonly ScriptedCall[] {
  return [
    { tool: 'exec_command', input: { cmd: 'cat note.txt' } },
    { tool: 'shell_command', input: { command: 'cat note.txt' } },
    { tool: 'shell', input: { command: ['cat', 'note.txt'] } },
    { tool: 'read_file', input: { file_path: noteFile } },
    { tool: 'read', input: { filePath: noteFile } },
    { tool: 'Read', input: { file_path: noteFile } },
  ];
}

function turns(nonce: string, noteFile: string): readonly Turn[] {
  const reasoning = 'Both cities, then.';
  const calls = cities.map((city) => ({ tool: 'get_weather', input: { city } }));
  return [
    { by: 'tool', said: `note ${nonce}`, text: agentAnswer(nonce), usage: telling },
    { by: 'tool', said: `sunny ${nonce}`, text: reportText, usage: telling },
    {
      by: 'user',
      said: 'How is the weather',
      reasoning,
      state: sealedState,
      text: lookText,
      calls,
      usage: calling,
    },
    ...agentCalls(noteFile).map((call): Turn => ({
      by: 'user',
      said: agentQuestion,
      reasoning,
      state: sealedState,
      text: lookText,
      calls: [call],
      usage: calling,
    })),
  ];
}

/** A gateway with one channel for each of the simulated vendors. */
export function startWorld(nonce: string, noteFile: string): Promise<Rig> {
  const all: readonly Upstream[] = upstreams;
  return startRig({
    balanceUsd: 1_000,
    config: {
      aliases: Object.fromEntries(
        all.flatMap(({ model, stands }) => (stands === undefined ? [] : [[model, stands]])),
      ),
    },
    vendors: all.map(({ id, model, stands }) => ({
      id,
      simulator: { turns: turns(nonce, noteFile), paceMs: 1 },
      channel: { provider: id, models: [stands ?? model] },
    })),
  });
}
