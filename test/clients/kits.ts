/** Sets of packages with exact versions, each installed into a folder of its own that is thrown away. */

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { runProgram } from './process.ts';

export type Kit = {
  readonly id: string;
  readonly kind: 'npm' | 'pip';
  readonly packages: readonly string[];
};

/** `skipped` says why there is nothing to run. */
export type Installed = {
  readonly folder: string;
  readonly tookMs: number;
  readonly skipped?: { readonly reason: string; readonly machineAtFault: boolean };
};

export type InstallOptions = {
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly limitMs: number;
};

export const kits = {
  javascript: {
    id: 'javascript',
    kind: 'npm',
    packages: ['openai@7.57.0', '@anthropic-ai/sdk@1.12.0', '@google/genai@3.1.0'],
  },
  aiSdk: {
    id: 'ai-sdk',
    kind: 'npm',
    packages: [
      'ai@7.0.173',
      '@ai-sdk/openai@4.0.118',
      '@ai-sdk/anthropic@4.0.105',
      '@ai-sdk/google@4.0.121',
      'zod@4.6.7',
    ],
  },
  langchain: {
    id: 'langchain',
    kind: 'npm',
    packages: [
      '@langchain/core@1.4.0',
      '@langchain/openai@1.6.0',
      '@langchain/anthropic@1.5.11',
      '@langchain/google-genai@2.3.2',
      'zod@4.6.7',
    ],
  },
  python: {
    id: 'python',
    kind: 'pip',
    packages: ['openai==3.54.0', 'anthropic==2.12.0', 'google-genai==3.4.0'],
  },
  langchainPython: {
    id: 'langchain-python',
    kind: 'pip',
    packages: [
      'langchain-core==1.7.2',
      'langchain-openai==1.7.3',
      'langchain-anthropic==1.7.7',
      'langchain-google-genai==4.4.2',
    ],
  },
  codex: { id: 'codex', kind: 'npm', packages: ['@openai/codex@0.169.0'] },
  geminiCli: { id: 'gemini-cli', kind: 'npm', packages: ['@google/gemini-cli@0.61.0'] },
  opencode: { id: 'opencode', kind: 'npm', packages: ['opencode-ai@1.18.33'] },
  claudeCode: { id: 'claude-code', kind: 'npm', packages: ['@anthropic-ai/claude-code@2.1.330'] },
} as const satisfies Record<string, Kit>;

/** Scripts of packages do not run: all of these work without. The machine is spared by `nice`. */
export async function install(kit: Kit, options: InstallOptions): Promise<Installed> {
  const startedMs = Date.now();
  mkdirSync(options.folder, { recursive: true });
  const skipped =
    kit.kind === 'npm' ? await installNpm(kit, options) : await installPip(kit, options);
  return {
    folder: options.folder,
    tookMs: Date.now() - startedMs,
    ...(skipped ? { skipped } : {}),
  };
}

type Skipped = NonNullable<Installed['skipped']>;

async function installNpm(kit: Kit, options: InstallOptions): Promise<Skipped | undefined> {
  writeFileSync(
    path.join(options.folder, 'package.json'),
    JSON.stringify({ private: true, type: 'module' }),
  );
  return step(
    [
      'npm',
      'install',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--prefer-offline',
      '--save-exact',
      ...kit.packages,
    ],
    options,
  );
}

async function installPip(kit: Kit, options: InstallOptions): Promise<Skipped | undefined> {
  const version = await run(['python3', '--version'], options);
  if (version.code !== 0) return { reason: 'python3 is not there', machineAtFault: true };
  const made = await step(['python3', '-m', 'venv', '.'], options);
  if (made) return { ...made, machineAtFault: true };
  return step(
    [
      path.join(options.folder, 'bin', 'pip'),
      'install',
      '--quiet',
      '--no-compile',
      '--disable-pip-version-check',
      ...kit.packages,
    ],
    options,
  );
}

/** Why the step failed; `undefined`: it did not. */
async function step(
  command: readonly string[],
  options: InstallOptions,
): Promise<Skipped | undefined> {
  const ended = await run(command, options);
  if (ended.code === 0) return undefined;
  const words = ended.timedOut
    ? 'took too long'
    : (ended.errors || ended.output).trim().split('\n').slice(-3).join(' | ').slice(0, 400);
  return {
    reason: `${path.basename(command[0] ?? '')} ${command[1]}: ${words}`,
    machineAtFault: false,
  };
}

function run(
  command: readonly string[],
  { folder, signal, limitMs }: InstallOptions,
): ReturnType<typeof runProgram> {
  const environment = Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    ),
  );
  return runProgram({
    command: ['nice', '-n', '10', ...command],
    folder,
    environment,
    signal,
    limitMs,
  });
}
