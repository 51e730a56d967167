/** `manifold channel add | list | status | test | remove`. */

import { testChannel } from '#gateway';
import { parseJsonObject } from '#std';
import { allDocuments } from '#store';
import {
  noSuchChannel,
  requiredWord,
  table,
  textOption,
  withBooks,
  type CommandContext,
} from './command.ts';
import { channelStatus } from './channel-status.ts';
import { readNewChannel } from './channels.ts';
import { ConfigError, loadConfig } from './config.ts';
import { createRuntime, storedChannels, type Runtime } from './runtime.ts';

export async function channelCommand(context: CommandContext): Promise<number> {
  const action = requiredWord(context, 0, 'add, list, status, test or remove');
  switch (action) {
    case 'add':
      return add(context, requiredWord(context, 1, 'an id for the channel'));
    case 'list':
      return list(context);
    case 'status':
      return channelStatus(context, context.words[1]);
    case 'test':
      return test(context, context.words[1]);
    case 'remove':
      return remove(context, requiredWord(context, 1, 'the id of the channel'));
    default:
      throw new ConfigError(
        `\`channel ${action}\` is not a command. There are add, list, status, test and remove.`,
      );
  }
}

/** Models with the same prices for all of them, where the catalog has none: `free`, or JSON. */
function offered(models: readonly string[] | undefined, prices: string | undefined): object {
  if (!models) {
    if (prices !== undefined)
      throw new ConfigError('--prices needs --models: name what they are for.');
    return {};
  }
  if (prices === undefined) return { models };
  const parsed = prices === 'free' ? undefined : parseJsonObject(prices);
  if (prices !== 'free' && !parsed) {
    throw new ConfigError(
      '--prices: write `free`, or JSON such as {"input":"0.5","output":"1.5"}.',
    );
  }
  return { models: Object.fromEntries(models.map((name) => [name, { prices: parsed ?? prices }])) };
}

async function add(context: CommandContext, id: string): Promise<number> {
  const models = textOption(context, 'models')
    ?.split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const definition = readNewChannel({
    id,
    provider: textOption(context, 'provider'),
    dialect: textOption(context, 'dialect'),
    base_url: textOption(context, 'base-url'),
    secret: textOption(context, 'secret'),
    ...offered(models, textOption(context, 'prices')),
    ...(context.values['allow-private'] === true ? { allow_private: true } : {}),
  });
  return withRuntime(context, async (runtime, books) => {
    const stored = await storedChannels(books.store);
    const others = stored.filter((other) => other.id !== id);
    // Throws with the remedy when the provider or a parameter is missing.
    runtime.reload([...others, definition]);
    await books.store.channels.put(id, definition);
    await books.store.audit.append({
      auditId: books.newId('aud'),
      createdAtMs: Date.now(),
      actor: 'cli',
      action: 'channel.add',
      target: id,
      detail: { provider: definition.provider ?? '' },
    });
    context.output.line(
      `Channel ${id} is stored. A running server takes it within five seconds; try \`manifold channel test ${id}\`.`,
    );
    const snapshot = runtime.snapshot();
    if (!snapshot.models.some((model) => offersAt(snapshot, model, id).length > 0))
      context.output.error(
        'It offers no model, so nothing is sent there. `manifold models --all` lists what --models can name.',
      );
    const unpriced = unpricedModels(snapshot, id);
    if (unpriced.length > 0)
      context.output.error(
        `Without a price, and so refused: ${unpriced.join(', ')}. Add it again with --prices '{"input":"0.5","output":"1.5"}' (US dollars per million tokens), or with --prices free.`,
      );
    return 0;
  });
}

function unpricedModels(snapshot: Snapshot, channelId: string): readonly string[] {
  return snapshot.models
    .filter((model) =>
      offersAt(snapshot, model, channelId).some((offer) => offer.prices.length === 0),
    )
    .map((model) => model.id);
}

function offersAt(snapshot: Snapshot, model: Snapshot['models'][number], channelId: string) {
  return snapshot.offersOf(model).filter((offer) => offer.channel.id === channelId);
}

const noChannels =
  'There are no channels yet but the simulator of a running server. Set a vendor key in the environment, or run `manifold channel add`.';

type Snapshot = ReturnType<Runtime['snapshot']>;

async function list(context: CommandContext): Promise<number> {
  return withRuntime(context, async (runtime) => {
    const snapshot = runtime.snapshot();
    const rows = [...snapshot.channels.values()].map((channel) => {
      const models = snapshot.models.filter(
        (model) => offersAt(snapshot, model, channel.id).length > 0,
      ).length;
      return [
        channel.id,
        channel.provider.label,
        channel.baseUrl,
        String(models),
        channel.definition.enabled === false ? 'off' : 'on',
      ];
    });
    if (rows.length === 0) context.output.error(noChannels);
    context.output.line(table([['CHANNEL', 'PROVIDER', 'ENDPOINT', 'MODELS', 'STATE'], ...rows]));
    return 0;
  });
}

async function test(context: CommandContext, id: string | undefined): Promise<number> {
  return withRuntime(context, async (runtime) => {
    const channels = [...runtime.snapshot().channels.values()].filter(
      (channel) => id === undefined || channel.id === id,
    );
    if (channels.length === 0) {
      context.output.error(
        id === undefined ? noChannels : noSuchChannel(id, runtime.snapshot().channels.keys()),
      );
      return 1;
    }
    let failed = 0;
    for (const channel of channels) {
      const result = await testChannel(runtime.services, channel);
      if (!result.ok) failed += 1;
      context.output.line(`${result.ok ? 'ok    ' : 'failed'}  ${channel.id}  ${result.text}`);
    }
    return failed === 0 ? 0 : 1;
  });
}

async function remove(context: CommandContext, id: string): Promise<number> {
  return withBooks(context, async ({ store, newId }) => {
    if (!(await store.channels.remove(id))) {
      const stored = await allDocuments(store.channels);
      context.output.error(
        noSuchChannel(
          id,
          stored.map((channel) => channel.id),
          'stored channel',
        ) + ' Channels of the configuration file are removed there.',
      );
      return 1;
    }
    await store.audit.append({
      auditId: newId('aud'),
      createdAtMs: Date.now(),
      actor: 'cli',
      action: 'channel.remove',
      target: id,
      detail: {},
    });
    context.output.line(`Channel ${id} is removed.`);
    return 0;
  });
}

type Books = Parameters<Parameters<typeof withBooks>[1]>[0];

async function withRuntime(
  context: CommandContext,
  work: (runtime: Runtime, books: Books) => Promise<number>,
): Promise<number> {
  return withBooks(context, async (books) => {
    const { config } = await loadConfig(textOption(context, 'config'), context.environment);
    const runtime = await createRuntime({
      config,
      environment: context.environment,
      books,
      extra: [],
    });
    try {
      return await work(runtime, books);
    } finally {
      await runtime.close();
    }
  });
}
