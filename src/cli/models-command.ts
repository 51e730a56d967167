/** `manifold models`: what can be asked for, at what price, through which channels. */

import { priceAt } from '#catalog';
import { table, textOption, withBooks, type CommandContext } from './command.ts';
import { loadConfig } from './config.ts';
import { createRuntime } from './runtime.ts';

export async function modelsCommand(context: CommandContext): Promise<number> {
  return withBooks(context, async (books) => {
    const { config } = await loadConfig(textOption(context, 'config'), context.environment);
    const runtime = await createRuntime({
      config,
      environment: context.environment,
      books,
      extra: [],
    });
    const snapshot = runtime.snapshot();
    const models = context.values['all'] === true ? snapshot.catalog.models : snapshot.models;
    const rows = models.map((model) => {
      const offers = snapshot.offersOf(model);
      const units = priceAt(offers[0]?.prices ?? model.prices, Date.now())?.units;
      return [
        model.id,
        String(model.context_tokens ?? '–'),
        units?.input ?? 'no price',
        units?.output ?? '–',
        offers.map((offer) => offer.channel.id).join(', ') || '–',
      ];
    });
    await runtime.close();
    if (rows.length === 0)
      context.output.line(
        'No channel offers a model yet. Set a vendor key in the environment, or run `manifold channel add`. `manifold models --all` shows the catalog. A running server also has the models of its simulator, such as sim-chat.',
      );
    else
      context.output.line(
        table([['MODEL', 'CONTEXT', 'USD/M INPUT', 'USD/M OUTPUT', 'CHANNELS'], ...rows]),
      );
    return 0;
  });
}
