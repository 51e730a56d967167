/** Coding agents without a terminal: what each needs to be pointed at a gateway, and how it is asked. */

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { DialectId } from '#canonical';
import { asNumber, asObject, type JsonObject, type JsonValue } from '#std';
import { kits, type Kit } from './kits.ts';

export type Agent = {
  readonly name: string;
  readonly kit: Kit;
  readonly dialect: DialectId;
  /** Writes the agent's settings into its empty home. */
  readonly settle: (home: string, task: Task) => void;
  readonly command: (installedIn: string, task: Task) => readonly string[];
  readonly environment: (task: Task) => Readonly<Record<string, string>>;
  /** What one object of the agent's JSON output counts; objects that count nothing add zeros. */
  readonly counts: (object: JsonObject) => Counts;
};

/** Totals over all requests of the conversation. */
export type Counts = { readonly input: number; readonly cached: number; readonly output: number };

export type Task = {
  readonly url: string;
  readonly key: string;
  readonly model: string;
  readonly question: string;
};

function write(home: string, file: string, text: string): void {
  const target = path.join(home, file);
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, text);
}

function at(object: JsonObject, ...path: readonly string[]): JsonObject {
  return path.reduce<JsonObject>((inner, name) => asObject(inner[name]) ?? {}, object);
}

function number(value: JsonValue | undefined): number {
  return asNumber(value) ?? 0;
}

const codex: Agent = {
  name: 'Codex CLI',
  kit: kits.codex,
  dialect: 'openai-responses',
  settle: (home, { url }) =>
    write(
      home,
      '.codex/config.toml',
      `model_provider = "manifold"

[model_providers.manifold]
name = "Manifold"
base_url = "${url}/v1"
env_key = "MANIFOLD_KEY"
wire_api = "responses"

[analytics]
enabled = false
`,
    ),
  command: (installedIn, { model, question }) => [
    process.execPath,
    path.join(installedIn, 'node_modules/@openai/codex/bin/codex.js'),
    ...[
      'exec',
      '--json',
      '--skip-git-repo-check',
      '--dangerously-bypass-approvals-and-sandbox',
      '--model',
      model,
      question,
    ],
  ],
  environment: ({ key }) => ({ MANIFOLD_KEY: key }),
  counts: (object) => {
    const usage = at(object, 'usage');
    return {
      input: number(usage['input_tokens']),
      cached: number(usage['cached_input_tokens']),
      output: number(usage['output_tokens']),
    };
  },
};

const geminiCli: Agent = {
  name: 'Gemini CLI',
  kit: kits.geminiCli,
  dialect: 'gemini-generate',
  settle: (home) =>
    write(
      home,
      '.gemini/settings.json',
      JSON.stringify({
        security: { auth: { selectedType: 'gemini-api-key' } },
        privacy: { usageStatisticsEnabled: false },
        telemetry: { enabled: false },
        general: { enableAutoUpdate: false, disableAutoUpdate: true },
      }),
    ),
  command: (installedIn, { model, question }) => [
    process.execPath,
    path.join(installedIn, 'node_modules/@google/gemini-cli/bundle/gemini.js'),
    ...[
      '--model',
      model,
      '--output-format',
      'json',
      '--approval-mode',
      'yolo',
      '--prompt',
      question,
    ],
  ],
  environment: ({ url, key }) => ({
    GOOGLE_GEMINI_BASE_URL: url,
    GEMINI_API_KEY: key,
    GEMINI_CLI_TRUST_WORKSPACE: 'true',
  }),
  counts: (object) => {
    const [model] = Object.keys(at(object, 'stats', 'models'));
    const tokens = at(object, 'stats', 'models', model ?? '', 'tokens');
    return {
      input: number(tokens['prompt']),
      cached: number(tokens['cached']),
      output: number(tokens['candidates']) + number(tokens['thoughts']),
    };
  },
};

const opencode: Agent = {
  name: 'opencode',
  kit: kits.opencode,
  dialect: 'openai-chat',
  settle: (home, { url, model }) =>
    write(
      home,
      '.config/opencode/opencode.json',
      JSON.stringify({
        $schema: 'https://opencode.ai/config.json',
        autoupdate: false,
        share: 'disabled',
        provider: {
          manifold: {
            npm: '@ai-sdk/openai-compatible',
            name: 'Manifold',
            options: { baseURL: `${url}/v1`, apiKey: '{env:MANIFOLD_KEY}' },
            models: { [model]: {} },
          },
        },
      }),
    ),
  command: (installedIn, { model, question }) => [
    path.join(
      installedIn,
      `node_modules/opencode-${process.platform}-${process.arch}/bin/opencode`,
    ),
    ...['run', '--format', 'json', '--model', `manifold/${model}`, question],
  ],
  environment: ({ key }) => ({
    MANIFOLD_KEY: key,
    OPENCODE_DISABLE_AUTOUPDATE: 'true',
    OPENCODE_DISABLE_MODELS_FETCH: 'true',
  }),
  counts: (object) => {
    const tokens = at(object, 'part', 'tokens');
    const cached = number(at(tokens, 'cache')['read']);
    return {
      input: number(tokens['input']) + cached,
      cached,
      output: number(tokens['output']) + number(tokens['reasoning']),
    };
  },
};

const claudeCode: Agent = {
  name: 'Claude Code',
  kit: kits.claudeCode,
  dialect: 'anthropic-messages',
  settle: () => undefined,
  command: (installedIn, { model, question }) => [
    path.join(
      installedIn,
      `node_modules/@anthropic-ai/claude-code-${process.platform}-${process.arch}/claude`,
    ),
    ...[
      '--print',
      '--output-format',
      'json',
      '--model',
      model,
      '--allowedTools',
      'Read',
      '--',
      question,
    ],
  ],
  environment: ({ url, key, model }) => ({
    ANTHROPIC_BASE_URL: url,
    ANTHROPIC_AUTH_TOKEN: key,
    ANTHROPIC_SMALL_FAST_MODEL: model,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  }),
  counts: (object) => {
    const usage = at(object, 'usage');
    const cached = number(usage['cache_read_input_tokens']);
    return {
      input: number(usage['input_tokens']) + cached,
      cached,
      output: number(usage['output_tokens']),
    };
  },
};

export const agents: readonly Agent[] = [codex, geminiCli, opencode, claudeCode];
