/**
 * The configuration: one YAML file plus the environment. Errors name the line, what is wrong and what
 * to write instead. docs/reference/configuration.md is made from this schema's descriptions.
 */

import { existsSync, readFileSync } from 'node:fs';
import { isNode, LineCounter, parseDocument, type Document } from 'yaml';
import { z } from 'zod';
import { modelSchema } from '#catalog';
import { channelSchema } from '#providers';

const positive = z.number().int().positive();

export const configSchema = z.strictObject({
  listen: z
    .strictObject({
      host: z.string().default('127.0.0.1').describe('Address to listen on. 127.0.0.1 answers this machine only.'),
      port: z.number().int().min(0).max(65535).default(8080).describe('Port; 0 takes any free one.'),
      hosts: z.array(z.string()).optional().describe('Host names that clients may use; any when absent.'),
      cors_origins: z.union([z.literal('*'), z.array(z.string())]).default([]).describe('Origins of browsers that may call, or "*".'),
    })
    .prefault({}),
  data: z.string().default('./data').describe('Folder of the embedded database and of the secret that guards key digests.'),
  database_url: z.string().optional().describe('PostgreSQL instead of the embedded database, for several nodes.'),
  limits: z
    .strictObject({
      body_bytes: positive.default(33_554_432).describe('Largest request body; at most 536870912.'),
      held_bytes: positive.default(268_435_456).describe('Bodies of all running requests together.'),
      connections: positive.default(10_000).describe('Open client connections.'),
    })
    .prefault({}),
  streaming: z
    .strictObject({
      heartbeat_ms: positive.default(15_000).describe('Silence after which a heartbeat goes to the client.'),
      hold_headers_ms: positive.default(10_000).describe('How long the status line waits for the first content.'),
      drain_ms: positive.default(60_000).describe('How long to read on after the client left, where leaving does not stop the vendor.'),
      drains: positive.default(64).describe('Such readings at once.'),
    })
    .prefault({}),
  request_ms: positive.default(900_000).describe('Longest life of one request.'),
  stop_ms: positive.default(60_000).describe('How long running requests may finish when the server stops.'),
  routing_headers: z.boolean().default(true).describe('Whether answers name the channel and the number of attempts.'),
  log_level: z.enum(['debug', 'info', 'warning', 'error']).default('info').describe('Least level that is logged.'),
  simulator: z.boolean().default(true).describe('Whether the built-in simulator answers as a provider.'),
  recordings: z.string().optional().describe('Folder of recorded exchanges that the simulator serves as well.'),
  aliases: z.record(z.string(), z.string()).default({}).describe('Other names for models: alias → model.'),
  models: z.array(modelSchema).default([]).describe('Models of your own, or replacements of catalog entries.'),
  channels: z.array(channelSchema).default([]).describe('Credentials and endpoints. Keys in the environment make channels by themselves.'),
});

export type Config = z.infer<typeof configSchema>;

/** A configuration that cannot be used; the message is ready for the terminal. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

export type Environment = { readonly [name: string]: string | undefined };

/** Names tried in the working directory when no file is named. */
const fileNames = ['manifold.yaml', 'manifold.yml'];

/** Reads and checks the configuration. Throws {@link ConfigError}. */
export function loadConfig(path: string | undefined, environment: Environment): { readonly config: Config; readonly file: string | undefined } {
  const file = path ?? environment['MANIFOLD_CONFIG'] ?? fileNames.find((name) => existsSync(name));
  if (file === undefined) return { config: withEnvironment(configSchema.parse({}), environment), file: undefined };
  if (!existsSync(file)) throw new ConfigError(`${file}: there is no such file. Leave out --config to start with the defaults.`);
  return { config: withEnvironment(parseConfig(readFileSync(file, 'utf8'), file, environment), environment), file };
}

export function parseConfig(text: string, file: string, environment: Environment): Config {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  const [syntax] = document.errors;
  if (syntax) {
    const { line, col } = lines.linePos(syntax.pos[0]);
    throw new ConfigError(`${file}:${line}:${col}: ${syntax.message.split('\n')[0] ?? 'not valid YAML'}`);
  }
  const value: unknown = expand(document.toJS() ?? {}, environment);
  const result = configSchema.safeParse(value);
  if (result.success) return result.data;
  const messages = result.error.issues.slice(0, 5).map((issue) => `${file}:${lineOf(document, lines, issue)}: ${describe(issue)}`);
  throw new ConfigError(messages.join('\n'));
}

type Issue = z.core.$ZodIssue;

function lineOf(document: Document, lines: LineCounter, issue: Issue): string {
  for (let length = issue.path.length; length >= 0; length -= 1) {
    const node: unknown = document.getIn(issue.path.slice(0, length), true);
    if (isNode(node) && node.range) {
      const { line, col } = lines.linePos(node.range[0]);
      return `${line}:${col}`;
    }
  }
  return '1:1';
}

function describe(issue: Issue): string {
  const where = issue.path.length > 0 ? `\`${issue.path.join('.')}\`: ` : '';
  if (issue.code === 'unrecognized_keys') {
    return `${where}unknown setting ${issue.keys.map((key) => `\`${key}\``).join(', ')}. Remove it, or look for the right name in docs/reference/configuration.md.`;
  }
  return `${where}${issue.message}.`;
}

/** `${NAME}` in any text value, from the environment. A missing one is an error, never an empty key. */
function expand(value: unknown, environment: Environment): unknown {
  if (typeof value === 'string') {
    return value.replace(/\$\{([A-Z_][A-Z0-9_]*)\}/g, (_, name: string) => {
      const found = environment[name];
      if (found === undefined) throw new ConfigError(`The configuration uses \${${name}}, but this variable is not set. Set it, or write the value itself.`);
      return found;
    });
  }
  if (Array.isArray(value)) return value.map((element) => expand(element, environment));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, expand(inner, environment)]));
  }
  return value;
}

/** The variables that override single settings. */
function withEnvironment(config: Config, environment: Environment): Config {
  const port = environment['PORT'] ?? environment['MANIFOLD_PORT'];
  const host = environment['MANIFOLD_HOST'];
  const data = environment['MANIFOLD_DATA'];
  const databaseUrl = environment['DATABASE_URL'] ?? config.database_url;
  if (port !== undefined && !/^\d{1,5}$/.test(port)) throw new ConfigError(`PORT must be a number, not "${port}".`);
  return {
    ...config,
    listen: { ...config.listen, ...(port === undefined ? {} : { port: Number(port) }), ...(host === undefined ? {} : { host }) },
    ...(data === undefined ? {} : { data }),
    ...(databaseUrl === undefined ? {} : { database_url: databaseUrl }),
  };
}
