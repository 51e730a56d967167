/** `manifold doctor`: looks at everything a start depends on and says what to do about what is wrong. */

import { accessSync, constants, existsSync, statfsSync } from 'node:fs';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import { textOption, withBooks, type CommandContext } from './command.ts';
import { loadConfig, type Config } from './config.ts';
import { rateReceipt } from './rate-receipt.ts';
import { createRuntime } from './runtime.ts';

type Finding = { readonly ok: boolean; readonly what: string; readonly remedy?: string };

const freeBytesMin = 512 * 2 ** 20;

export async function doctor(context: CommandContext): Promise<number> {
  const { config, file } = await loadConfig(textOption(context, 'config'), context.environment);
  const findings: Finding[] = [
    { ok: true, what: `configuration: ${file ?? 'defaults, no file'}` },
    { ok: true, what: `Node ${process.versions.node}` },
    checkClock(),
    checkFolder(config),
    await checkPort(config),
    ...(await checkBooks(context, config)),
  ];
  for (const { ok, what, remedy } of findings) context.output.line(`${ok ? 'ok     ' : 'PROBLEM'}  ${what}${remedy === undefined ? '' : `\n         ${remedy}`}`);
  return findings.every((finding) => finding.ok) ? 0 : 1;
}

/** Prices and windows go by the wall clock; one that is years off is a machine without a time service. */
function checkClock(): Finding {
  const ok = new Date().getUTCFullYear() >= 2026;
  return ok ? { ok, what: 'clock' } : { ok, what: `the clock says ${new Date().toISOString()}`, remedy: 'Set the clock; prices are dated.' };
}

function checkFolder(config: Config): Finding {
  const folder = resolve(config.data);
  const at = existsSync(folder) ? folder : resolve('.');
  try {
    accessSync(at, constants.W_OK);
  } catch {
    return { ok: false, what: `${at} cannot be written`, remedy: 'Change its owner, or set `data` to another folder.' };
  }
  const { bavail, bsize } = statfsSync(at);
  if (bavail * bsize < freeBytesMin) return { ok: false, what: `less than 512 MiB are free in ${at}`, remedy: 'Free space: a full disk stops the ledger, and with it all answers.' };
  return { ok: true, what: `data folder ${folder}` };
}

function checkPort(config: Config): Promise<Finding> {
  const { host, port } = config.listen;
  return new Promise((done) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      done({ ok: error.code === 'EADDRINUSE', what: `${host}:${port}: ${error.code === 'EADDRINUSE' ? 'in use (a running Manifold, or choose another with --port)' : error.message}` });
    });
    probe.listen(port, host, () => probe.close(() => done({ ok: true, what: `${host}:${port} is free` })));
  });
}

async function checkBooks(context: CommandContext, config: Config): Promise<readonly Finding[]> {
  return withBooks(context, async (books) => {
    const summary = await books.ledger.verify({ rate: rateReceipt });
    const runtime = await createRuntime({ config, environment: context.environment, books, extra: [] });
    const { channels, models } = runtime.snapshot();
    await runtime.close();
    const unpriced = models.filter((model) => runtime.snapshot().offersOf(model).every((offer) => offer.prices.length === 0));
    return [
      { ok: summary.ok, what: `ledger: ${summary.receipts} receipts, ${summary.differenceCount} differences`, ...(summary.ok ? {} : { remedy: '`manifold ledger verify` lists them. Restore a backup, and keep the damaged file.' }) },
      { ok: true, what: `${channels.size} channels, ${models.length} models` },
      ...unpriced.slice(0, 5).map((model) => ({ ok: false, what: `${model.id} has no price and is refused`, remedy: `Set channels[].models.${model.id}.prices.` })),
    ];
  });
}
