/** `manifold doctor`: looks at everything a start depends on and says what to do about what is wrong. */

import { accessSync, constants, statfsSync } from 'node:fs';
import { resolve } from 'node:path';
import { checkedModels } from '#catalog';
import { textOption, withBooks, type CommandContext } from './command.ts';
import { ConfigError, loadConfig, type Config } from './config.ts';
import { rateReceipt } from './rate-receipt.ts';
import { createRuntime } from './runtime.ts';
import { checkPort, existingPart } from './start-error.ts';

type Finding = { readonly ok: boolean; readonly what: string; readonly remedy?: string };

const freeBytesMin = 512 * 2 ** 20;

export async function doctor(context: CommandContext): Promise<number> {
  let ok = true;
  for await (const finding of examine(context)) {
    ok &&= finding.ok;
    const remedy = finding.remedy === undefined ? '' : `\n         ${finding.remedy}`;
    context.output.line(`${finding.ok ? 'ok     ' : 'PROBLEM'}  ${finding.what}${remedy}`);
  }
  return ok ? 0 : 1;
}

/** One thing after the other, so that what was found is shown even when the next thing hangs. */
async function* examine(context: CommandContext): AsyncGenerator<Finding> {
  yield { ok: true, what: `Node ${process.versions.node}` };
  yield checkClock();
  const loaded = await attempt(() =>
    loadConfig(textOption(context, 'config'), context.environment),
  );
  if (!('config' in loaded)) {
    yield loaded;
    return;
  }
  const { config, file } = loaded;
  yield { ok: true, what: `configuration: ${file ?? 'defaults, no file'}` };
  yield checkFolder(config);
  yield await checkListening(config);
  const findings = await attempt(() => checkBooks(context, config));
  if ('what' in findings) yield findings;
  else yield* findings;
}

/** What is wrong becomes a finding; a fault of our own goes on as it is. */
async function attempt<T>(work: () => Promise<T>): Promise<T | Finding> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ConfigError) return { ok: false, what: error.message };
    throw error;
  }
}

/** Prices and windows go by the wall clock; one that is years off is a machine without a time service. */
function checkClock(): Finding {
  const ok = new Date().getUTCFullYear() >= 2026;
  return ok
    ? { ok, what: 'clock' }
    : {
        ok,
        what: `the clock says ${new Date().toISOString()}`,
        remedy: 'Set the clock; prices are dated.',
      };
}

function checkFolder(config: Config): Finding {
  const folder = resolve(config.data);
  const at = existingPart(folder);
  try {
    accessSync(at, constants.W_OK);
  } catch {
    return {
      ok: false,
      what: `${at} cannot be written`,
      remedy: 'Change its owner, or set `data` to another folder.',
    };
  }
  const { bavail, bsize } = statfsSync(at);
  if (bavail * bsize < freeBytesMin)
    return {
      ok: false,
      what: `less than 512 MiB are free in ${at}`,
      remedy: 'Free space: a full disk stops the ledger, and with it all answers.',
    };
  return { ok: true, what: `data folder ${folder}` };
}

async function checkListening({ listen: { host, port } }: Config): Promise<Finding> {
  const problem = await attempt(() => checkPort(host, port));
  if (problem === undefined) return { ok: true, what: `${host}:${port} is free` };
  const inUse = problem.what.includes('in use');
  return inUse ? { ok: true, what: `${host}:${port} is in use, perhaps by Manifold` } : problem;
}

async function checkBooks(context: CommandContext, config: Config): Promise<readonly Finding[]> {
  checkedModels();
  return withBooks(context, async (books) => {
    const summary = await books.ledger.verify({ rate: rateReceipt });
    const runtime = await createRuntime({
      config,
      environment: context.environment,
      books,
      extra: [],
    });
    const { channels, models } = runtime.snapshot();
    await runtime.close();
    const offers = models.flatMap((model) => runtime.snapshot().offersOf(model));
    const offering = new Set(offers.map(({ channel }) => channel.id));
    const unpriced = models.filter((model) =>
      runtime
        .snapshot()
        .offersOf(model)
        .every((offer) => offer.prices.length === 0),
    );
    return [
      {
        ok: summary.ok,
        what: `ledger: ${summary.receipts} receipts, ${summary.differenceCount} differences`,
        ...(summary.ok
          ? {}
          : {
              remedy:
                '`manifold ledger verify` lists them. Restore a backup, and keep the damaged file.',
            }),
      },
      { ok: true, what: `${channels.size} channels, ${models.length} models` },
      ...[...channels.keys()]
        .filter((id) => !offering.has(id))
        .map((id) => ({
          ok: false,
          what: `channel ${id} offers no model, so nothing is sent there`,
          remedy:
            'Name models in `models` that `manifold models --all` lists, or give them prices.',
        })),
      ...unpriced.slice(0, 5).map((model) => ({
        ok: false,
        what: `${model.id} has no price and is refused`,
        remedy: `Set channels[].models.${model.id}.prices.`,
      })),
    ];
  });
}
