/**
 * What is known of models, as data: names, sizes, abilities, quirks, who offers them, dated prices.
 * The files in `data/` are read by the schema below, which refuses unknown fields.
 */

import * as z from 'zod';
import type { PriceUnit } from '#canonical';

/** Decimal US dollars per million units, as text: prices never pass through a float. */
const usdPerMillion = z
  .string()
  .regex(/^\d{1,7}(\.\d{1,9})?$/, 'a decimal number of US dollars as text');

const date = z.iso.date('a day of the calendar, YYYY-MM-DD');

/**
 * Prices of one tier or window. A unit without a price of its own falls back as documented at
 * `unitPrice` in metering/rate.ts (cache reads to input, reasoning to output, …).
 */
export const unitPricesSchema = z.strictObject({
  input: usdPerMillion.optional(),
  cache_read: usdPerMillion.optional(),
  cache_write: usdPerMillion.optional(),
  cache_write_1h: usdPerMillion.optional(),
  output: usdPerMillion.optional(),
  reasoning: usdPerMillion.optional(),
  input_audio: usdPerMillion.optional(),
  input_image: usdPerMillion.optional(),
  output_audio: usdPerMillion.optional(),
  output_image: usdPerMillion.optional(),
  /** Per million searches, images, seconds, characters, requests: the same scale for every unit. */
  web_search: usdPerMillion.optional(),
  image: usdPerMillion.optional(),
  second: usdPerMillion.optional(),
  character: usdPerMillion.optional(),
  request: usdPerMillion.optional(),
} satisfies Record<PriceUnit, z.ZodType>);

const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

export const priceSchema = z.strictObject({
  /** First day (UTC) on which it holds; the latest one that has begun is used. */
  from: date,
  source: z.string(),
  units: unitPricesSchema,
  /** The whole request is rated by the last tier whose threshold its input tokens exceed. */
  tiers: z
    .array(
      z.strictObject({ above_input_tokens: z.number().int().positive(), units: unitPricesSchema }),
    )
    .optional(),
  /**
   * UTC windows, minutes since midnight, `until` exclusive, on the days named or on every one; the price at the start
   * of the request holds.
   */
  windows: z
    .array(
      z
        .strictObject({
          from_minute: z.number().int().min(0).max(1439),
          until_minute: z.number().int().min(1).max(1440),
          days: z.array(z.enum(weekdays)).min(1).optional(),
          units: unitPricesSchema,
        })
        .refine((window) => window.from_minute < window.until_minute, {
          message: 'expected an end after the start; over midnight, write two windows',
        }),
    )
    .optional(),
  /** Factors by service tier, decimal text (`flex: "0.5"`). */
  service_tiers: z.record(z.string(), usdPerMillion).optional(),
  /** Factors on the prices of tokens by the speed that the answer was made with (`fast: "2"`). */
  speeds: z.record(z.string(), usdPerMillion).optional(),
  /** Factors on the prices of tokens by the geography that the model was kept to (`us: "1.1"`). */
  geographies: z.record(z.string(), usdPerMillion).optional(),
});

const quirkSchema = z.record(z.string(), z.json());

export const modelSchema = z.strictObject({
  id: z.string().min(1).describe('Public name.'),
  vendor: z.string().min(1).describe('Who made it; `owned_by` in the list of models.'),
  aliases: z.array(z.string()).optional().describe('Other names for it.'),
  released: date.optional(),
  retires: date.optional(),
  context_tokens: z.number().int().positive().optional().describe('Input and output together.'),
  output_tokens: z.number().int().nonnegative().optional().describe('Most that it answers.'),
  operations: z.array(z.enum(['chat', 'completions', 'embeddings'])).default(['chat']),
  input: z.array(z.enum(['text', 'image', 'audio', 'video', 'document'])).default(['text']),
  output: z.array(z.enum(['text', 'image', 'audio', 'embedding'])).default(['text']),
  tools: z.boolean().default(true),
  structured_output: z.boolean().default(true),
  reasoning: z.boolean().default(false),
  silence_ms: z
    .number()
    .int()
    .positive()
    .optional()
    .describe(
      'How long a stream of it may be silent before it is given up, at the start and in between; 120000 for models that reason or draw.',
    ),
  dialects: z
    .array(z.string())
    .optional()
    .describe('Dialects the vendor serves it in; all that a provider speaks when absent.'),
  tools_dialect: z
    .string()
    .optional()
    .describe('Dialect to use upstream when the request has function tools.'),
  quirks: z.record(z.string(), quirkSchema).optional().describe('Deviations, by dialect.'),
  offers: z
    .record(
      z.string(),
      z.union([
        z.string(),
        z.strictObject({
          name: z.string(),
          prices: z.array(priceSchema).optional(),
          dialects: z.array(z.string()).optional(),
        }),
      ]),
    )
    .describe('Provider → its name there, with `prices` where they differ from the list price.'),
  prices: z
    .array(priceSchema)
    .default([])
    .describe('Dated list prices; the latest that has begun holds.'),
});

/** The defaults of the schema for who reads without it. */
export const modelDefaults = {
  operations: ['chat'],
  input: ['text'],
  output: ['text'],
  tools: true,
  structured_output: true,
  reasoning: false,
  prices: [],
} satisfies Partial<z.infer<typeof modelSchema>>;

export const catalogFileSchema = z.strictObject({
  /** Where the facts of this file come from and when they were read. */
  sources: z.array(z.strictObject({ what: z.string(), url: z.string().optional(), read: date })),
  models: z.array(modelSchema),
});

export type UnitPrices = z.infer<typeof unitPricesSchema>;
export type Unit = keyof UnitPrices;
export type Price = z.infer<typeof priceSchema>;
export type Model = z.infer<typeof modelSchema>;
export type CatalogFile = z.infer<typeof catalogFileSchema>;
