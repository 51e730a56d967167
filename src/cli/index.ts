/** The command line: one word, its options, and an exit code. */

import { parseArgs, type ParseArgsConfig } from 'node:util';
import { channelCommand } from './channel-command.ts';
import { textOption, type CommandContext } from './command.ts';
import { ConfigError, type Environment } from './config.ts';
import { doctor } from './doctor.ts';
import { keyCommand } from './key-command.ts';
import { ledgerCommand } from './ledger-command.ts';
import { modelsCommand } from './models-command.ts';
import type { Output } from './output.ts';
import { routeCommand } from './route-command.ts';
import { serve } from './serve.ts';
import { simulate } from './simulate.ts';
import { stopSignal } from './stop-signal.ts';

export { terminal } from './output.ts';
export { serve, type RunningServer } from './serve.ts';
// For tests and tools that run a gateway in their own process.
export { configSchema, type Config } from './config.ts';
export { createRuntime, openBooks, type Books, type Runtime } from './runtime.ts';

export const usage = `manifold: one endpoint, one key and one balance over every model

  manifold serve [--config FILE] [--port N] [--host ADDRESS] [--recordings DIR]
  manifold sim [--port N] [--recordings DIR] [--script FILE]
  manifold key create [--name NAME] [--wallet ID] [--limits JSON] [--expires DATE]
  manifold key list | key revoke KEY_ID
  manifold channel add ID --provider NAME [--secret KEY] [--base-url URL] [--dialect NAME] [--models A,B]
  manifold channel list | channel status [ID] | channel test [ID] | channel remove ID
  manifold route explain REQUEST_ID [--json]
  manifold models [--all]
  manifold ledger verify | balance [WALLET] | statement [WALLET] | receipt ID | export [WALLET]
  manifold ledger topup WALLET USD --note TEXT | refund WALLET LOT_ID --reason TEXT
  manifold doctor

Every command takes --config FILE; the data folder is in it or in MANIFOLD_DATA.`;

const optionTypes: NonNullable<ParseArgsConfig['options']> = {
  config: { type: 'string', short: 'c' },
  port: { type: 'string', short: 'p' },
  host: { type: 'string' },
  recordings: { type: 'string' },
  script: { type: 'string' },
  name: { type: 'string' },
  wallet: { type: 'string' },
  limits: { type: 'string' },
  expires: { type: 'string' },
  provider: { type: 'string' },
  secret: { type: 'string' },
  'base-url': { type: 'string' },
  dialect: { type: 'string' },
  models: { type: 'string' },
  'allow-private': { type: 'boolean' },
  note: { type: 'string' },
  reason: { type: 'string' },
  kind: { type: 'string' },
  amount: { type: 'string' },
  all: { type: 'boolean' },
  json: { type: 'boolean' },
  profile: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
};

type Command = (context: CommandContext) => Promise<number>;

const commands: { readonly [word: string]: Command } = {
  serve: serveCommand,
  sim: simulate,
  key: keyCommand,
  channel: channelCommand,
  models: modelsCommand,
  route: routeCommand,
  ledger: ledgerCommand,
  doctor,
};

/** Runs one command. Resolves with the exit code: 0 done, 1 failed, 2 wrong usage. */
export async function run(args: readonly string[], environment: Environment, output: Output): Promise<number> {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: optionTypes, allowPositionals: true });
    const [word, ...words] = positionals;
    if (word === undefined || values['help'] === true || word === 'help') {
      output.line(usage);
      return word === undefined && values['help'] !== true ? 2 : 0;
    }
    const command = commands[word];
    if (!command) {
      output.error(`There is no command \`${word}\`.\n\n${usage}`);
      return 2;
    }
    return await command({ words, values, environment, output });
  } catch (error) {
    if (error instanceof ConfigError || isUsageError(error)) {
      output.error(error.message);
      return 2;
    }
    throw error;
  }
}

function isUsageError(error: unknown): error is Error {
  return error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
}

async function serveCommand(context: CommandContext): Promise<number> {
  const port = textOption(context, 'port');
  const server = await serve(
    {
      configFile: textOption(context, 'config'),
      host: textOption(context, 'host'),
      recordings: textOption(context, 'recordings'),
      port: port === undefined ? undefined : Number(port),
    },
    context.environment,
    context.output,
  );
  await stopSignal();
  context.output.error('Stopping: running requests may finish.');
  await server.stop();
  return 0;
}
