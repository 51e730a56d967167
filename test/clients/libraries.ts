/** SDKs and libraries: which program drives them, what they are installed from, how they word an end. */

import type { DialectId } from '#canonical';
import { kits, type Kit } from './kits.ts';

export type Library = {
  readonly name: string;
  readonly kit: Kit;
  readonly dialect: DialectId;
  /** File in `programs/`. */
  readonly program: string;
  /** How the client says that tools are called, and that all is said. */
  readonly finishes: readonly [string, string];
  /** What the client itself leaves out or forgets, whoever it talks to. */
  readonly limits?: Limits | undefined;
};

export type Limits = {
  /** Reads the counts of the prompt from the first event, where no other vendor has them yet. */
  readonly promptTokens?: 'none';
  /** Counts visible output only. */
  readonly thoughtTokens?: 'none';
  /** Drops ids and signatures of tool calls. */
  readonly state?: 'dropped';
};

const langchainLimits: { readonly [dialect: string]: Limits } = {
  'anthropic-messages': { promptTokens: 'none' },
  'gemini-generate': { thoughtTokens: 'none', state: 'dropped' },
};

/** In the words of the dialects themselves. */
const native: { readonly [dialect: string]: readonly [string, string] } = {
  'openai-chat': ['tool_calls', 'stop'],
  'openai-responses': ['completed', 'completed'],
  'anthropic-messages': ['tool_use', 'end_turn'],
  'gemini-generate': ['STOP', 'STOP'],
};

const dialects = [
  'openai-chat',
  'openai-responses',
  'anthropic-messages',
  'gemini-generate',
] as const satisfies readonly DialectId[];

const officialJavaScript = {
  'openai-chat': 'openai-chat.mjs',
  'openai-responses': 'openai-responses.mjs',
  'anthropic-messages': 'anthropic.mjs',
  'gemini-generate': 'google.mjs',
};
const officialPython = {
  'openai-chat': 'openai_chat.py',
  'openai-responses': 'openai_responses.py',
  'anthropic-messages': 'anthropic_messages.py',
  'gemini-generate': 'google_generate.py',
};
const packageNames = {
  'openai-chat': 'openai chat',
  'openai-responses': 'openai responses',
  'anthropic-messages': 'anthropic',
  'gemini-generate': 'google-genai',
};

export const libraries: readonly Library[] = dialects.flatMap((dialect): Library[] => {
  const finishes = native[dialect] ?? ['', ''];
  const name = packageNames[dialect];
  return [
    {
      name: `${name} (JavaScript)`,
      kit: kits.javascript,
      dialect,
      program: officialJavaScript[dialect],
      finishes,
    },
    {
      name: `${name} (Python)`,
      kit: kits.python,
      dialect,
      program: officialPython[dialect],
      finishes,
    },
    {
      name: `AI SDK, ${name}`,
      kit: kits.aiSdk,
      dialect,
      program: 'ai-sdk.mjs',
      finishes: ['tool-calls', 'stop'],
    },
    {
      name: `LangChain, ${name} (JavaScript)`,
      kit: kits.langchain,
      dialect,
      program: 'langchain.mjs',
      finishes,
      limits: langchainLimits[dialect],
    },
    {
      name: `LangChain, ${name} (Python)`,
      kit: kits.langchainPython,
      dialect,
      program: 'langchain_chat.py',
      finishes,
    },
  ];
});
