/**
 * The control plane as a table: each row is a path, its schemas and its work. The same rows make the
 * HTTP routes and the OpenAPI document, so that neither can say what the other does not.
 */

import * as z from 'zod';
import { keyNameSchema, newKeyLimitsSchema } from '#access';
import { parseUsd, type NanoUsd } from '#std';
import { idPattern } from '#ledger';
import { allDocuments } from '#store';
import {
  auditPlace,
  auditSchema,
  id,
  keySchema,
  latestMs,
  moreThanNothing,
  pageLimit,
  receiptSchema,
  requestPlace,
  requestSchema,
  statementPlace,
  walletSchema,
  word,
} from './schemas.ts';
import type { ControlServices } from './services.ts';
import { auditView, keyViews, receiptView, requestView, walletView } from './views.ts';

/** A refusal with a status; anything else that is thrown is a 500. */
export class ControlRefusal extends Error {
  readonly status: 400 | 401 | 404 | 409;
  readonly code: string;
  constructor(status: 400 | 401 | 404 | 409, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export type ControlCall<Body, Query> = {
  readonly services: ControlServices;
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  readonly actor: string;
};

export type ControlRoute = {
  readonly method: 'get' | 'post' | 'put' | 'delete';
  /** With `{name}` places. */
  readonly path: string;
  readonly summary: string;
  /** What a route without takes is nothing. */
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  readonly response: z.ZodType;
  handle(call: ControlCall<unknown, unknown>): Promise<unknown>;
};

function define<Body extends z.ZodType, Query extends z.ZodObject>(
  route: Omit<ControlRoute, 'handle' | 'body' | 'query'> & {
    readonly body?: Body;
    readonly query?: Query;
    handle(call: ControlCall<z.infer<Body>, z.infer<Query>>): Promise<unknown>;
  },
): ControlRoute {
  return route;
}

/** The wallet of a path that books something: one that could never be asked for again is refused. */
function bookedWallet({ wallet_id: walletId = '' }: Readonly<Record<string, string>>): string {
  if (idPattern.test(walletId)) return walletId;
  throw new ControlRefusal(
    400,
    'invalid_body',
    'wallet_id: must be 1 to 200 visible ASCII characters without spaces',
  );
}

const walletRoutes: readonly ControlRoute[] = [
  define({
    method: 'get',
    path: '/wallets/{wallet_id}',
    summary: 'Balance of a wallet with its lots. It never expires.',
    response: walletSchema,
    handle: ({ services, parameters }) => walletView(services, parameters['wallet_id'] ?? ''),
  }),
  define({
    method: 'post',
    path: '/wallets/{wallet_id}/topups',
    summary: 'Adds money. The same event_id credits once, however often it is sent.',
    body: z.strictObject({
      amount_usd: moreThanNothing,
      kind: z.enum(['paid', 'gift', 'invite', 'demo']).default('paid'),
      event_id: id,
      note: z.string().max(500).optional(),
    }),
    response: receiptSchema,
    async handle({ services, parameters, body, actor }) {
      const walletId = bookedWallet(parameters);
      const result = await services.ledger.credit({
        walletId,
        amountNanoUsd: amountOf(body.amount_usd),
        lotKind: body.kind,
        source: 'operator',
        eventId: body.event_id,
        actor,
        ...(body.note === undefined ? {} : { note: body.note }),
      });
      if (!result.ok)
        throw new ControlRefusal(
          409,
          result.error,
          result.error === 'balance_too_large'
            ? 'The top-up was refused: a wallet holds 9007199.254740991 US dollars at most.'
            : 'The top-up was refused: the event id is known with other parameters.',
        );
      await audit(services, actor, 'wallet.topup', walletId, {
        amount_usd: body.amount_usd,
        receipt_id: result.receipt.receiptId,
      });
      return receiptView(result.receipt);
    },
  }),
  define({
    method: 'post',
    path: '/wallets/{wallet_id}/refunds',
    summary: 'Gives money of one paid lot back to its source.',
    body: z.strictObject({
      lot_id: z.string(),
      amount_usd: moreThanNothing.optional(),
      event_id: id,
      reason: z.string().trim().min(1).max(500),
    }),
    response: receiptSchema,
    async handle({ services, parameters, body, actor }) {
      const walletId = bookedWallet(parameters);
      const result = await services.ledger.refund({
        walletId,
        lotId: body.lot_id,
        eventId: body.event_id,
        actor,
        reason: body.reason,
        ...(body.amount_usd === undefined ? {} : { amountNanoUsd: amountOf(body.amount_usd) }),
      });
      if (!result.ok)
        throw new ControlRefusal(
          409,
          result.error,
          `The refund was refused: ${result.error.replaceAll('_', ' ')}.`,
        );
      await audit(services, actor, 'wallet.refund', walletId, {
        lot_id: body.lot_id,
        receipt_id: result.receipt.receiptId,
      });
      return receiptView(result.receipt);
    },
  }),
  define({
    method: 'get',
    path: '/wallets/{wallet_id}/statement',
    summary: 'Receipts of a wallet, newest first.',
    query: z.strictObject({ before: statementPlace.optional(), limit: pageLimit.default(50) }),
    response: z.object({ receipts: z.array(receiptSchema), next: z.string().nullable() }),
    async handle({ services, parameters, query }) {
      const page = await services.ledger.statement({
        walletId: parameters['wallet_id'] ?? '',
        limit: query.limit,
        ...(query.before === undefined ? {} : { before: query.before }),
      });
      return { receipts: page.receipts.map(receiptView), next: page.next ?? null };
    },
  }),
  define({
    method: 'get',
    path: '/receipts/{receipt_id}',
    summary: 'One receipt with units, prices, formula, attempts and its place in the hash chain.',
    response: receiptSchema,
    async handle({ services, parameters }) {
      const receipt = await services.ledger.receipt(parameters['receipt_id'] ?? '');
      if (!receipt) throw new ControlRefusal(404, 'not_found', 'There is no such receipt.');
      return receiptView(receipt);
    },
  }),
  define({
    method: 'post',
    path: '/ledger/verify',
    summary: 'Recomputes every balance, every charge and the hash chain.',
    response: z.object({
      ok: z.boolean(),
      receipts: z.number(),
      transfers: z.number(),
      difference_count: z.number(),
      differences: z.array(z.object({ kind: z.string(), where: z.string(), detail: z.string() })),
    }),
    async handle({ services }) {
      const summary = await services.ledger.verify({ rate: services.rate });
      return {
        ok: summary.ok,
        receipts: summary.receipts,
        transfers: summary.transfers,
        difference_count: summary.differenceCount,
        differences: summary.differences,
      };
    },
  }),
  define({
    method: 'get',
    path: '/accounts',
    summary: 'Totals of the ledger’s own accounts: revenue, costs per channel, losses by reason.',
    query: z.strictObject({ prefix: word.optional() }),
    response: z.object({
      accounts: z.array(
        z.object({
          account: z.string(),
          debits_nano_usd: z.string(),
          credits_nano_usd: z.string(),
        }),
      ),
    }),
    async handle({ services, query }) {
      const accounts = await services.ledger.accounts(query.prefix);
      return {
        accounts: accounts.map((account) => ({
          account: account.accountId,
          debits_nano_usd: String(account.debitsNanoUsd),
          credits_nano_usd: String(account.creditsNanoUsd),
        })),
      };
    },
  }),
];

const keyRoutes: readonly ControlRoute[] = [
  define({
    method: 'post',
    path: '/keys',
    summary: 'Makes a key. The secret is in this answer and nowhere else.',
    body: z.strictObject({
      name: keyNameSchema,
      wallet_id: id,
      project_id: id.optional(),
      limits: newKeyLimitsSchema.optional(),
      expires_at_ms: z.number().int().positive().max(latestMs).optional(),
      metadata: z.record(z.string(), z.string()).optional(),
    }),
    response: keySchema.extend({ key: z.string() }),
    async handle({ services, body, actor }) {
      if (body.expires_at_ms !== undefined && body.expires_at_ms <= services.clock.now())
        throw new ControlRefusal(
          400,
          'invalid_body',
          'expires_at_ms: is past already. Milliseconds since 1970 are expected, not seconds.',
        );
      const { key, record } = await services.access.createKey({
        name: body.name,
        walletId: body.wallet_id,
        projectId: body.project_id,
        limits: body.limits,
        expiresAtMs: body.expires_at_ms,
        metadata: body.metadata,
      });
      await audit(services, actor, 'key.create', record.keyId, { wallet_id: body.wallet_id });
      const [view] = await keyViews(services, [record]);
      return { ...view, key };
    },
  }),
  define({
    method: 'get',
    path: '/keys',
    summary:
      'Keys, newest first, without their secrets. `before` is the id of the last key of the page before.',
    query: z.strictObject({
      wallet_id: id.optional(),
      before: word.optional(),
      limit: pageLimit.optional(),
    }),
    response: z.object({ keys: z.array(keySchema) }),
    async handle({ services, query }) {
      const { wallet_id: walletId, before, limit } = query;
      if (before !== undefined && !(await services.store.keys.get(before)))
        throw new ControlRefusal(400, 'invalid_query', 'before: there is no key with this id.');
      const keys = await services.access.listKeys({
        ...(limit === undefined ? {} : { limit }),
        ...(walletId === undefined ? {} : { walletId }),
        ...(before === undefined ? {} : { before }),
      });
      return { keys: await keyViews(services, keys) };
    },
  }),
  define({
    method: 'delete',
    path: '/keys/{key_id}',
    summary: 'Revokes a key at once.',
    response: keySchema,
    async handle({ services, parameters, actor }) {
      const record = await services.access.revokeKey(parameters['key_id'] ?? '');
      if (!record) throw new ControlRefusal(404, 'not_found', 'There is no such key.');
      await audit(services, actor, 'key.revoke', record.keyId, {});
      return (await keyViews(services, [record]))[0];
    },
  }),
];

const operationRoutes: readonly ControlRoute[] = [
  define({
    method: 'get',
    path: '/requests',
    summary:
      'The request log, newest first. A page that is short or empty is the last one only when `next` is null.',
    query: z.strictObject({
      wallet_id: id.optional(),
      key_id: word.optional(),
      model: word.optional(),
      channel_id: word.optional(),
      errors_only: z.enum(['true', 'false']).optional(),
      before: requestPlace.optional(),
      limit: pageLimit.default(50),
    }),
    response: z.object({
      requests: z.array(requestSchema),
      next: z.string().nullable(),
    }),
    async handle({ services, query }) {
      const page = await services.store.requests.list({
        limit: query.limit,
        ...(query.wallet_id === undefined ? {} : { walletId: query.wallet_id }),
        ...(query.key_id === undefined ? {} : { keyId: query.key_id }),
        ...(query.model === undefined ? {} : { model: query.model }),
        ...(query.channel_id === undefined ? {} : { channelId: query.channel_id }),
        ...(query.errors_only === 'true' ? { errorsOnly: true } : {}),
        ...(query.before === undefined ? {} : { before: query.before }),
      });
      return { requests: page.records.map(requestView), next: page.next ?? null };
    },
  }),
  define({
    method: 'get',
    path: '/requests/{request_id}',
    summary: 'One request with its attempts, losses and routing.',
    response: requestSchema,
    async handle({ services, parameters }) {
      const record = await services.store.requests.get(parameters['request_id'] ?? '');
      if (!record) throw new ControlRefusal(404, 'not_found', 'There is no such request.');
      return requestView(record);
    },
  }),
  define({
    method: 'get',
    path: '/channels',
    summary: 'Stored channels, without their secrets.',
    response: z.object({ channels: z.array(z.looseObject({ id: z.string() })) }),
    async handle({ services }) {
      const documents = await allDocuments(services.store.channels);
      return {
        channels: documents.map(({ body }) => ({
          ...body,
          secret: undefined,
          id: String(body['id']),
        })),
      };
    },
  }),
  define({
    method: 'put',
    path: '/channels/{channel_id}',
    summary: 'Makes or replaces a channel; it is taken at once.',
    body: z.record(z.string(), z.json()),
    response: z.looseObject({ id: z.string() }),
    async handle({ services, parameters, body, actor }) {
      const id = parameters['channel_id'] ?? '';
      const problem = await services.channels.put(id, body);
      if (problem !== undefined) throw new ControlRefusal(400, 'invalid_channel', problem);
      await audit(services, actor, 'channel.put', id, {});
      return { ...body, secret: undefined, id };
    },
  }),
  define({
    method: 'delete',
    path: '/channels/{channel_id}',
    summary: 'Removes a stored channel.',
    response: z.object({ removed: z.boolean() }),
    async handle({ services, parameters, actor }) {
      const id = parameters['channel_id'] ?? '';
      if (!(await services.channels.remove(id)))
        throw new ControlRefusal(404, 'not_found', 'There is no such stored channel.');
      await audit(services, actor, 'channel.remove', id, {});
      return { removed: true };
    },
  }),
  define({
    method: 'get',
    path: '/routing',
    summary: 'Health, limits and load of every channel and model as routing sees them.',
    response: z.looseObject({}),
    handle: async ({ services }) => services.router.status(),
  }),
  define({
    method: 'get',
    path: '/audit',
    summary: 'What operators did, newest first.',
    query: z.strictObject({
      actor: word.optional(),
      target: word.optional(),
      before: auditPlace.optional(),
      limit: pageLimit.default(50),
    }),
    response: z.object({ entries: z.array(auditSchema) }),
    async handle({ services, query }) {
      const entries = await services.store.audit.list({
        limit: query.limit,
        ...(query.actor === undefined ? {} : { actor: query.actor }),
        ...(query.target === undefined ? {} : { target: query.target }),
        ...(query.before === undefined ? {} : { before: query.before }),
      });
      return { entries: entries.map(auditView) };
    },
  }),
];

export const controlRoutes: readonly ControlRoute[] = [
  ...walletRoutes,
  ...keyRoutes,
  ...operationRoutes,
];

function amountOf(text: string): NanoUsd {
  const amount = parseUsd(text);
  if (amount === undefined || amount <= 0)
    throw new ControlRefusal(
      400,
      'invalid_amount',
      'The amount must be above zero, and 9007199.254740991 US dollars at most.',
    );
  return amount;
}

async function audit(
  services: ControlServices,
  actor: string,
  action: string,
  target: string,
  detail: Readonly<Record<string, string>>,
): Promise<void> {
  await services.store.audit.append({
    auditId: services.newId('aud'),
    createdAtMs: services.clock.now(),
    actor,
    action,
    target,
    detail,
  });
}
