/** `manifold sim`: the simulator as a program of its own. */

import { statSync } from 'node:fs';
import { startSimulator, type RunningSimulator } from '#simulator';
import { systemClock, systemRandom } from '#std';
import { textOption, type CommandContext } from './command.ts';
import { ConfigError, readPort } from './config.ts';
import { checkPort } from './start-error.ts';
import { stopSignal } from './stop-signal.ts';

const portDefault = '8081';

export type SimulatorPlace = {
  readonly host: string;
  readonly port: number;
  readonly recordings: string | undefined;
  readonly script?: string | undefined;
};

/** Starts a simulator. Throws {@link ConfigError} when its folder or script cannot be used. */
export async function openSimulator(place: SimulatorPlace): Promise<RunningSimulator> {
  const { recordings } = place;
  if (recordings !== undefined && !isFolder(recordings)) {
    throw new ConfigError(
      `There is no folder ${recordings}. \`recordings\` names one that holds a folder with meta.json and an answer for each case.`,
    );
  }
  try {
    return await startSimulator({ ...place, clock: systemClock, random: systemRandom });
  } catch (error) {
    if (place.script === undefined || !(error instanceof Error)) throw error;
    throw new ConfigError(`The script ${place.script} cannot be used: ${error.message}`);
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

export async function simulate(context: CommandContext): Promise<number> {
  const host = textOption(context, 'host') ?? '127.0.0.1';
  const port = readPort(textOption(context, 'port') ?? portDefault, '--port');
  await checkPort(host, port);
  const stopped = stopSignal();
  const simulator = await openSimulator({
    host,
    port,
    recordings: textOption(context, 'recordings'),
    script: textOption(context, 'script'),
  });
  context.output.line(
    `The simulator answers on ${simulator.url} in every dialect, with any key. Models: ${listed(simulator.models)}.`,
  );
  await stopped;
  await simulator.close();
  return 0;
}

function listed(names: readonly string[]): string {
  const rest = names.length - 10;
  return names.slice(0, 10).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}
