/** `manifold sim`: the simulator as a program of its own. */

import { startSimulator } from '#simulator';
import { systemClock, systemRandom } from '#std';
import { textOption, type CommandContext } from './command.ts';
import { stopSignal } from './stop-signal.ts';

export async function simulate(context: CommandContext): Promise<number> {
  const simulator = await startSimulator({
    host: textOption(context, 'host') ?? '127.0.0.1',
    port: Number(textOption(context, 'port') ?? 8081),
    recordings: textOption(context, 'recordings'),
    script: textOption(context, 'script'),
    clock: systemClock,
    random: systemRandom,
  });
  context.output.line(`The simulator answers on ${simulator.url} in every dialect, with any key.`);
  await stopSignal();
  await simulator.close();
  return 0;
}
