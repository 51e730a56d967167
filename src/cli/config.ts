/** The configuration: defaults, then one YAML file, then the environment. */

import { existsSync, readFileSync } from 'node:fs';
import { ConfigError, type Environment } from './config-error.ts';
import { configSchema, workersMax, type Config } from './config-schema.ts';

export { ConfigError, type Environment } from './config-error.ts';
export { configSchema, type Config } from './config-schema.ts';

export type LoadedConfig = { readonly config: Config; readonly file: string | undefined };

/** Names tried in the working directory when no file is named. */
const fileNames = ['manifold.yaml', 'manifold.yml'];

/** Reads and checks the configuration. Throws {@link ConfigError} with line and remedy. */
export async function loadConfig(
  path: string | undefined,
  environment: Environment,
): Promise<LoadedConfig> {
  const file =
    path ?? given(environment, 'MANIFOLD_CONFIG') ?? fileNames.find((name) => existsSync(name));
  const config =
    file === undefined ? configSchema.parse({}) : await readConfigFile(file, environment);
  return { config: withEnvironment(config, environment), file };
}

async function readConfigFile(file: string, environment: Environment): Promise<Config> {
  return parseConfigText(readText(file), file, environment);
}

/** The text of a file named `file` as configuration. Throws {@link ConfigError}. */
export async function parseConfigText(
  text: string,
  file: string,
  environment: Environment,
): Promise<Config> {
  // Who starts without a file does not wait for a YAML parser.
  const { parseConfig } = await import('./config-file.ts');
  return parseConfig(text, file, environment);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') {
      throw new ConfigError(
        `${file}: there is no such file. Leave out --config to start with the defaults.`,
      );
    }
    const reason =
      code === 'EISDIR'
        ? 'this is a folder; name the file in it'
        : `it cannot be read (${String(code)}); check its owner and mode`;
    throw new ConfigError(`${file}: ${reason}.`);
  }
}

/** The variables that override single settings. */
function withEnvironment(config: Config, environment: Environment): Config {
  const portName = given(environment, 'PORT') === undefined ? 'MANIFOLD_PORT' : 'PORT';
  const port = given(environment, portName);
  const host = given(environment, 'MANIFOLD_HOST');
  const data = given(environment, 'MANIFOLD_DATA');
  const databaseUrl = given(environment, 'DATABASE_URL');
  if (databaseUrl !== undefined && !/^postgres(ql)?:\/\//.test(databaseUrl)) {
    throw new ConfigError(
      'DATABASE_URL must begin with postgres://. Leave it out for the embedded database.',
    );
  }
  const nodeId = given(environment, 'MANIFOLD_NODE_ID');
  const pepper = secretOf(environment, 'MANIFOLD_PEPPER');
  const token = secretOf(environment, 'MANIFOLD_OPERATOR_TOKEN');
  return {
    ...config,
    listen: {
      ...config.listen,
      ...(port === undefined ? {} : { port: readPort(port, portName) }),
      ...(host === undefined ? {} : { host }),
    },
    ...(data === undefined ? {} : { data }),
    ...(databaseUrl === undefined ? {} : { database_url: databaseUrl }),
    ...(nodeId === undefined ? {} : { node_id: nodeId }),
    ...(pepper === undefined ? {} : { pepper }),
    ...(token === undefined ? {} : { operator_token: token }),
  };
}

function secretOf(environment: Environment, name: string): string | undefined {
  const secret = given(environment, name);
  if (secret === undefined || secret.length >= 32) return secret;
  throw new ConfigError(`${name}: a secret has at least 32 characters.`);
}

/** A variable that is set but empty says nothing: compose files pass such ones on. */
function given(environment: Environment, name: string): string | undefined {
  const value = environment[name];
  return value === '' ? undefined : value;
}

/** A number of workers as people write it. Throws {@link ConfigError} naming `source`. */
export function readWorkers(text: string, source: string): number {
  const count = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= workersMax) return count;
  throw new ConfigError(`${source}: a number from 1 to ${workersMax}, not "${text}".`);
}

/** A port as people write it. Throws {@link ConfigError} naming `source`, where it was written. */
export function readPort(text: string, source: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new ConfigError(
    `${source}: a port is a number from 0 (any free one) to 65535, not "${text}".`,
  );
}
