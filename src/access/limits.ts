/**
 * What a key may do. Stored as JSON with the key; every field is optional and absent means no limit. What is stored is
 * read more patiently than what is given: a key of an older version must not spoil the list of keys.
 */

import * as z from 'zod';
import { nanoUsd, printable } from '#std';
import { readRange } from './address.ts';

const positive = z.number().int().positive();

/** What a key is for, as lists show it: nothing in it moves the cursor of a terminal or turns the text around. */
export const keyNameSchema = z
  .string()
  .max(200, 'must not be longer than 200 characters')
  .regex(/\S/, 'must not be empty')
  .refine((name) => printable(name) === name && !/[\n\t]/.test(name), {
    message: 'must be one line, without control characters',
  });

export const keyLimitsSchema = z.strictObject({
  /** Public model names or patterns with `*`. */
  models: z.array(z.string().min(1)).optional(),
  budgets: z
    .array(
      z.strictObject({
        window: z.enum(['daily', 'weekly', 'monthly', 'total']),
        limit_nano_usd: z.number().int().nonnegative(),
      }),
    )
    .optional(),
  requests_per_minute: positive.optional(),
  tokens_per_minute: positive.optional(),
  concurrency: positive.optional(),
  /** Addresses of clients, or CIDR ranges: `203.0.113.0/24`. */
  ip_ranges: z.array(z.string()).optional(),
  /** When the balance is short: `lower` max_tokens to what is affordable (default), or `refuse` with 402. */
  when_short: z.enum(['lower', 'refuse']).optional(),
  /** Factor on list prices in millionths (user group). 1,000,000 = list price. */
  price_factor_millionths: z.number().int().nonnegative().optional(),
});

/** {@link keyLimitsSchema} for a key that is to be made. */
export const newKeyLimitsSchema = keyLimitsSchema.extend({
  budgets: keyLimitsSchema.shape.budgets.refine(
    (budgets = []) => new Set(budgets.map(({ window }) => window)).size === budgets.length,
    { message: 'expected one budget for each window' },
  ),
  ip_ranges: z
    .array(
      z.string().refine((text) => readRange(text) !== undefined, {
        message: 'expected an address or a range such as 203.0.113.0/24',
      }),
    )
    .optional(),
});

export type KeyLimits = z.infer<typeof keyLimitsSchema>;

/** The budgets of a key as the ledger counts them, the lowest of each window: it takes a window once. */
export function budgetScopes(keyId: string, limits: KeyLimits) {
  const lowest = new Map<'daily' | 'weekly' | 'monthly' | 'total', number>();
  // A key of an older version may name a window twice.
  for (const { window, limit_nano_usd: limit } of limits.budgets ?? [])
    lowest.set(window, Math.min(limit, lowest.get(window) ?? limit));
  return [...lowest].map(([window, limit]) => ({
    kind: 'key',
    id: keyId,
    window,
    limitNanoUsd: nanoUsd(limit),
  }));
}

/** Whether a public model name is allowed by a list of names and `*` patterns. */
export function allowsModel(patterns: readonly string[] | undefined, model: string): boolean {
  if (!patterns) return true;
  return patterns.some((pattern) => matchesPattern(pattern, model));
}

/** `*` stands for any run of characters. Linear: no backtracking over more than one star at a time. */
export function matchesPattern(pattern: string, text: string): boolean {
  const pieces = pattern.split('*');
  const first = pieces[0] ?? '';
  if (pieces.length === 1) return pattern === text;
  const last = pieces[pieces.length - 1] ?? '';
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length)
    return false;
  let position = first.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, position);
    if (found < 0) return false;
    position = found + piece.length;
  }
  return position <= text.length - last.length;
}
