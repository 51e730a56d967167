/** The command line: one word, its options, and an exit code. */

import { flushCompileCache } from 'node:module';
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { channelCommand } from './channel-command.ts';
import { textOption, type CommandContext } from './command.ts';
import { ConfigError, readPort, readWorkers, type Environment } from './config.ts';
import { doctor } from './doctor.ts';
import { keyCommand } from './key-command.ts';
import { ledgerCommand } from './ledger-command.ts';
import { modelsCommand } from './models-command.ts';
import type { Output } from './output.ts';
import { routeCommand } from './route-command.ts';
import { serve } from './serve.ts';
import { workerMark } from './worker-mark.ts';
import { simulate } from './simulate.ts';
import { outliveReaders, stopSignal } from './stop-signal.ts';
import { formOf, formsOf, help, options, surplus, usage } from './usage.ts';
import { version } from './version.ts';

export { terminal } from './output.ts';
export { serve, type RunningServer } from './serve.ts';
// For tests and tools that run a gateway in their own process.
export { configSchema, parseConfigText, type Config } from './config.ts';
// For the reference pages.
export { forms as commandForms, options as commandOptions, synopsis } from './usage.ts';
export { createRuntime, openBooks, type Books, type OwnRuntime, type Runtime } from './runtime.ts';

const optionTypes: NonNullable<ParseArgsConfig['options']> = Object.fromEntries(
  Object.entries(options).map(([name, option]) => [
    name,
    {
      type: 'value' in option ? ('string' as const) : ('boolean' as const),
      ...('short' in option ? { short: option.short } : {}),
    },
  ]),
);

type Command = (context: CommandContext) => Promise<number>;

const commands: ReadonlyMap<string, Command> = new Map([
  ['serve', serveCommand],
  ['sim', simulate],
  ['key', keyCommand],
  ['channel', channelCommand],
  ['models', modelsCommand],
  ['route', routeCommand],
  ['ledger', ledgerCommand],
  ['doctor', doctor],
]);

/** Runs one command. Resolves with the exit code: 0 done, 1 failed, 2 wrong usage. */
export async function run(
  args: readonly string[],
  environment: Environment,
  output: Output,
): Promise<number> {
  try {
    const { values, positionals, tokens } = parseArgs({
      args: [...args],
      options: optionTypes,
      allowPositionals: true,
      tokens: true,
    });
    checkOptions(tokens);
    const [word, ...words] = positionals;
    if (word === undefined && values['version'] === true) {
      output.line(version());
      return 0;
    }
    if (word === 'help' && commands.has(words[0] ?? '')) {
      output.line(help(formsOf(words[0] ?? '')));
      return 0;
    }
    if (word === undefined || word === 'help') {
      output.line(usage());
      return word === undefined && values['help'] !== true ? 2 : 0;
    }
    const command = commands.get(word);
    if (!command) throw new ConfigError(`There is no command \`${word}\`.\n\n${usage()}`);
    const form = formOf(positionals);
    if (values['help'] === true) {
      output.line(help(form ? [form] : formsOf(word)));
      return 0;
    }
    const wrong = form && surplus(form, positionals, Object.keys(values));
    if (form && wrong !== undefined) throw new ConfigError(`${wrong}\n\n${help([form])}`);
    return await command({ words, values, environment, output });
  } catch (error) {
    if (error instanceof ConfigError || isUsageError(error)) {
      output.error(error.message);
      return 2;
    }
    throw error;
  }
}

/** Of an option that is given twice only the last would count, and an empty one is an unset variable of a shell. */
function checkOptions(
  tokens: readonly {
    readonly kind: string;
    readonly name?: string;
    readonly value?: string | undefined;
  }[],
): void {
  const given = new Set<string>();
  for (const { kind, name, value } of tokens) {
    if (kind !== 'option' || name === undefined) continue;
    if (given.has(name)) throw new ConfigError(`--${name} is given more than once.`);
    if (value === '')
      throw new ConfigError(`--${name} is empty. Leave it out, or give it a value.`);
    given.add(name);
  }
}

function isUsageError(error: unknown): error is Error {
  return (
    error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
  );
}

async function serveCommand(context: CommandContext): Promise<number> {
  outliveReaders();
  const port = textOption(context, 'port');
  const folder = textOption(context, 'profile');
  // A start loads what it uses: the samplers bring the inspector along.
  const profile =
    folder === undefined ? undefined : await (await import('./profile.ts')).startProfile(folder);
  if (context.environment[workerMark] !== undefined) {
    const { serveAsWorker } = await import('./worker.ts');
    const code = await serveAsWorker(context.environment);
    await profile?.stop();
    process.exit(code);
  }
  const workers = textOption(context, 'workers');
  // Who reads that it listens may tell it to stop at once.
  const stopped = stopSignal();
  let isStopped = false;
  void stopped.then(() => (isStopped = true));
  const starting = serve(
    {
      configFile: textOption(context, 'config'),
      host: textOption(context, 'host'),
      recordings: textOption(context, 'recordings'),
      port: port === undefined ? undefined : readPort(port, '--port'),
      workers: workers === undefined ? undefined : readWorkers(workers, '--workers'),
    },
    context.environment,
    context.output,
  );
  const server = await starting.catch((error: unknown) => {
    // A terminal sends Ctrl-C to workers that are starting as well: their end is not what went wrong.
    if (!isStopped) throw error;
    return undefined;
  });
  if (server === undefined) {
    context.output.error('Stopped while it was starting.');
    return 0;
  }
  // Otherwise only an orderly end would keep the compiled code for the next start.
  flushCompileCache();
  await stopped;
  context.output.error('Stopping: running requests may finish.');
  await server.stop();
  for (const path of (await profile?.stop()) ?? []) context.output.error(`Profile: ${path}`);
  return 0;
}
