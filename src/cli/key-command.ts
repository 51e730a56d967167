/** `manifold key create | list | revoke`. */

import {
  budgetScopes,
  keyLimitsSchema,
  keyNameSchema,
  newKeyLimitsSchema,
  type KeyLimits,
} from '#access';
import type { BudgetState } from '#ledger';
import { formatUsd, parseJson, zeroNanoUsd, type NanoUsd } from '#std';
import { allPages, type KeyRecord } from '#store';
import {
  requiredWord,
  table,
  textOption,
  walletName,
  withBooks,
  type CommandContext,
} from './command.ts';
import { ConfigError } from './config.ts';

export async function keyCommand(context: CommandContext): Promise<number> {
  const action = requiredWord(context, 0, 'create, list or revoke');
  switch (action) {
    case 'create':
      return create(context);
    case 'list':
      return list(context);
    case 'revoke':
      return revoke(
        context,
        requiredWord(context, 1, 'the id of the key, from `manifold key list`'),
      );
    default:
      throw new ConfigError(
        `\`key ${action}\` is not a command. There are create, list and revoke.`,
      );
  }
}

async function create(context: CommandContext): Promise<number> {
  const limits = readLimits(textOption(context, 'limits'));
  const expiresAtMs = readDate(textOption(context, 'expires'));
  const name = textOption(context, 'name') ?? 'unnamed';
  const wrong = keyNameSchema.safeParse(name).error?.issues[0];
  if (wrong) throw new ConfigError(`--name: ${wrong.message}.`);
  return withBooks(context, async ({ access, ledger, store, newId }) => {
    const walletId = walletName(textOption(context, 'wallet') ?? 'wallet_demo');
    const { key, record } = await access.createKey({
      name,
      walletId,
      limits,
      expiresAtMs,
    });
    await store.audit.append({
      auditId: newId('aud'),
      createdAtMs: Date.now(),
      actor: 'cli',
      action: 'key.create',
      target: record.keyId,
      detail: { wallet_id: walletId },
    });
    // The key alone goes to standard output: KEY=$(manifold key create).
    context.output.line(key);
    const { availableNanoUsd } = await ledger.balance(walletId);
    const remedy =
      availableNanoUsd > 0 ? '' : ` Add money: manifold ledger topup ${walletId} 10 --note first.`;
    context.output.error(
      `Key ${record.keyId} for wallet ${walletId}, which has ${formatUsd(availableNanoUsd)} USD.${remedy} The key is shown this once; only its digest is kept.`,
    );
    return 0;
  });
}

function readLimits(text: string | undefined): KeyLimits | undefined {
  if (text === undefined) return undefined;
  const parsed = parseJson(text);
  if (!parsed.ok) throw new ConfigError(`--limits is not JSON: ${parsed.message}.`);
  const limits = newKeyLimitsSchema.safeParse(parsed.value);
  if (limits.success) return limits.data;
  const issue = limits.error.issues[0];
  throw new ConfigError(
    `--limits: ${[...(issue?.path.map(String) ?? []), ''].join('.').replace(/\.$/, ': ')}${issue?.message ?? 'invalid'}. For example: {"requests_per_minute":60,"models":["claude-*"]}`,
  );
}

function readDate(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const atMs = momentOf(text);
  if (atMs === undefined)
    throw new ConfigError(
      `--expires: \`${text}\` is not a date. Write 2027-01-31, or 2027-01-31T18:00 (UTC).`,
    );
  if (atMs <= Date.now()) throw new ConfigError(`--expires: ${text} is past already.`);
  return atMs;
}

/** A day or moment in UTC, unless an offset is written. The built-in parser takes the time of the machine's zone, and 30 February. */
function momentOf(text: string): number | undefined {
  const match =
    /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?)(Z|[+-]\d{2}:\d{2})?)?$/i.exec(
      text.trim(),
    );
  if (!match) return undefined;
  const [, day = '', time = '00:00', zone = 'Z'] = match;
  const dayMs = Date.parse(`${day}T00:00Z`);
  const isDay = !Number.isNaN(dayMs) && new Date(dayMs).toISOString().startsWith(day);
  const atMs = Date.parse(`${day}T${time}${zone.toUpperCase()}`);
  return isDay && !Number.isNaN(atMs) ? atMs : undefined;
}

async function list(context: CommandContext): Promise<number> {
  return withBooks(context, async ({ access, ledger }) => {
    const keys = await allPages<KeyRecord>((limit, last) =>
      access.listKeys({ limit, ...(last === undefined ? {} : { before: last.keyId }) }),
    );
    const limits = keys.map((key) => keyLimitsSchema.parse(key.limits));
    const scopes = keys.flatMap(({ keyId }, index) => budgetScopes(keyId, limits[index] ?? {}));
    const budgets = Map.groupBy(await ledger.budgets(scopes), ({ id }) => id);
    const rows = keys.map((key, index) => [
      key.keyId,
      key.name,
      `…${key.lastFour}`,
      key.walletId,
      new Date(key.createdAtMs).toISOString().slice(0, 10),
      stateOf(key),
      limitsText(limits[index] ?? {}, budgets.get(key.keyId) ?? []),
    ]);
    const head = ['KEY', 'NAME', 'ENDS IN', 'WALLET', 'CREATED', 'STATE', 'LIMITS'];
    context.output.line(table([head, ...rows]));
    return 0;
  });
}

/** Budgets first, each with what is spent and left of it in its current window. */
function limitsText(limits: KeyLimits, budgets: readonly BudgetState[]): string {
  const spent = budgets.map((budget) => {
    const usd = (amount: NanoUsd | null): string => formatUsd(amount ?? zeroNanoUsd);
    const held = budget.pendingNanoUsd === 0 ? '' : `, ${usd(budget.pendingNanoUsd)} held`;
    return `${budget.window} ${usd(budget.spentNanoUsd)} of ${usd(budget.limitNanoUsd)} USD spent${held}, ${usd(budget.remainingNanoUsd)} left`;
  });
  const { budgets: _, ...others } = limits;
  const rest = Object.entries(others).map(
    ([name, value]) => `${name} ${Array.isArray(value) ? value.join(',') : value}`,
  );
  return [...spent, ...rest].join(' · ') || '-';
}

async function revoke(context: CommandContext, keyId: string): Promise<number> {
  return withBooks(context, async ({ access, store, newId }) => {
    const record = await access.revokeKey(keyId);
    if (!record) {
      context.output.error(`There is no key ${keyId}. \`manifold key list\` shows them.`);
      return 1;
    }
    await store.audit.append({
      auditId: newId('aud'),
      createdAtMs: Date.now(),
      actor: 'cli',
      action: 'key.revoke',
      target: keyId,
      detail: {},
    });
    context.output.line(
      `Key ${keyId} is revoked; a running server refuses it within five seconds.`,
    );
    return 0;
  });
}

function stateOf(key: KeyRecord): string {
  if (key.revokedAtMs !== null) return 'revoked';
  if (key.expiresAtMs === null) return 'valid';
  if (key.expiresAtMs <= Date.now()) return 'expired';
  const until = new Date(key.expiresAtMs);
  // An older version took moments that no calendar has.
  return Number.isNaN(until.valueOf()) ? 'valid' : `until ${until.toISOString().slice(0, 10)}`;
}
