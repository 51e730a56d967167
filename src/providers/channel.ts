/**
 * A channel: one credential at one endpoint of one vendor, as the operator writes it in the
 * configuration file or through the control API. The schema is the reference; unknown fields are errors.
 */

import * as z from 'zod';
import { priceUnits, type PriceUnit } from '#canonical';

const positive = z.number().int().positive();

const unitPrice = z
  .string()
  .regex(/^\d{1,7}(\.\d{1,9})?$/, 'US dollars per million units, as text')
  .optional();

/** A unit with a wrong name would cost nothing. */
const unitPrices = z
  .strictObject(
    Object.fromEntries(priceUnits.map((unit) => [unit, unitPrice])) as Record<
      PriceUnit,
      typeof unitPrice
    >,
  )
  .refine((prices) => Object.keys(prices).length > 0, {
    message: 'at least one price, such as `input`, or `free` for all',
  });

/** A model as this channel offers it, where the catalog does not know it or knows it differently. */
const offeredModelSchema = z.strictObject({
  name: z
    .string()
    .optional()
    .describe("The model's name at the upstream; default: the public name."),
  prices: z
    .union([z.literal('free'), unitPrices])
    .optional()
    .describe('US dollars per million units as text (`{input: "1.5", output: "6"}`), or `free`.'),
  operations: z.array(z.enum(['chat', 'completions', 'embeddings'])).optional(),
  context_tokens: positive.optional(),
  output_tokens: positive.optional(),
  silence_ms: positive.optional(),
  dialects: z.array(z.string()).optional(),
  quirks: z.record(z.string(), z.json()).optional(),
});

export const channelSchema = z
  .strictObject({
    id: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'lower-case letters, digits, dots and dashes'),
    provider: z
      .string()
      .optional()
      .describe('A built-in provider; or leave it out and give `dialect` and `base_url`.'),
    dialect: z
      .enum(['openai-chat', 'openai-responses', 'anthropic-messages', 'gemini-generate'])
      .optional()
      .describe('What an endpoint without a provider of its own speaks.'),
    base_url: z
      .url({ protocol: /^https?$/, error: 'an address that begins with http:// or https://' })
      .optional()
      .describe("Instead of the provider's own address."),
    base_urls: z
      .array(
        z.url({ protocol: /^https?$/, error: 'an address that begins with http:// or https://' }),
      )
      .min(1)
      .max(16)
      .optional()
      .describe('Several addresses of the same service: the fastest is used, dead ones are left.'),
    secret: z
      .string()
      .optional()
      .describe(
        'The key; `${NAME}` is replaced from the environment. Default: the variable of the provider.',
      ),
    parameters: z
      .record(z.string(), z.string())
      .optional()
      .describe('What the provider asks for besides a key, such as a region.'),
    models: z
      .union([z.array(z.string()), z.record(z.string(), z.union([z.string(), offeredModelSchema]))])
      .optional()
      .describe(
        'Names or `*` patterns of catalog models, or a map of public names to what is offered. Default: all that the catalog knows of this provider.',
      ),
    quirks: z
      .record(z.string(), z.json())
      .optional()
      .describe('Deviations of this endpoint from its dialect.'),
    enabled: z.boolean().optional().describe('`false` takes the channel out of service.'),
    weight: z
      .number()
      .nonnegative()
      .optional()
      .describe('Share of traffic among equal channels; 1 when absent.'),
    tags: z
      .array(z.string())
      .optional()
      .describe('Names by which requests can prefer or exclude channels.'),
    limits: z
      .strictObject({
        requests_per_minute: positive.optional(),
        requests_per_day: positive.optional(),
        tokens_per_minute: positive.optional(),
        input_tokens_per_minute: positive.optional(),
        output_tokens_per_minute: positive.optional(),
        concurrency: positive.optional(),
      })
      .optional()
      .describe(
        "The vendor's limits for this credential, as far as you know them; the rest is learned from answers.",
      ),
    outbound_proxy: z
      .url({ protocol: /^(https?|socks5)$/, error: 'an http, https or socks5 address' })
      .optional()
      .describe('`http://host:port` or `socks5://host:port` through which this channel goes out.'),
    http2: z
      .boolean()
      .optional()
      .describe(
        'Shares one connection among many calls where the vendor speaks HTTP/2: bursts to far vendors begin sooner.',
      ),
    allow_private: z
      .boolean()
      .optional()
      .describe('Allows a private or loopback address: your own server.'),
    abort_stops_billing: z
      .enum(['yes', 'no', 'unknown'])
      .optional()
      .describe(
        'Whether the vendor stops charging when a stream is closed. Default: as the provider is known.',
      ),
    default_service_tier: z
      .string()
      .optional()
      .describe(
        'The service tier that your project at the vendor gives requests that name none (`priority`): holds count it.',
      ),
  })
  .refine(
    (channel) =>
      channel.provider !== undefined ||
      (channel.dialect !== undefined &&
        (channel.base_url !== undefined || channel.base_urls !== undefined)),
    {
      message: 'give `provider`, or both `dialect` and `base_url`',
    },
  );

export type ChannelDefinition = z.infer<typeof channelSchema>;
