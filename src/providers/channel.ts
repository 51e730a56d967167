/**
 * A channel: one credential at one endpoint of one vendor, as the operator writes it in the
 * configuration file or through the control API. The schema is the reference; unknown fields are errors.
 */

import { z } from 'zod';

const positive = z.number().int().positive();

const unitPrices = z.record(
  z.string(),
  z.string().regex(/^\d{1,7}(\.\d{1,9})?$/, 'US dollars per million units, as text'),
);

/** A model as this channel offers it, where the catalog does not know it or knows it differently. */
const offeredModelSchema = z.strictObject({
  /** The model's name at the upstream; default: the public name. */
  name: z.string().optional(),
  /** US dollars per million units (`{input: "1", output: "2"}`), or `free`. */
  prices: z.union([z.literal('free'), unitPrices]).optional(),
  operations: z.array(z.enum(['chat', 'completions', 'embeddings'])).optional(),
  context_tokens: positive.optional(),
  output_tokens: positive.optional(),
  dialects: z.array(z.string()).optional(),
  quirks: z.record(z.string(), z.json()).optional(),
});

export const channelSchema = z
  .strictObject({
    id: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'lower-case letters, digits, dots and dashes'),
    /** A built-in provider; or leave it out and give `dialect` and `base_url`. */
    provider: z.string().optional(),
    dialect: z
      .enum(['openai-chat', 'openai-responses', 'anthropic-messages', 'gemini-generate'])
      .optional(),
    base_url: z.url().optional(),
    /** The key itself; `${NAME}` is replaced from the environment. */
    secret: z.string().optional(),
    parameters: z.record(z.string(), z.string()).optional(),
    /** Names or `*` patterns of catalog models, or a map of public names to what is offered. */
    models: z
      .union([z.array(z.string()), z.record(z.string(), z.union([z.string(), offeredModelSchema]))])
      .optional(),
    quirks: z.record(z.string(), z.json()).optional(),
    enabled: z.boolean().optional(),
    weight: z.number().nonnegative().optional(),
    tags: z.array(z.string()).optional(),
    limits: z
      .strictObject({
        requests_per_minute: positive.optional(),
        requests_per_day: positive.optional(),
        tokens_per_minute: positive.optional(),
        input_tokens_per_minute: positive.optional(),
        output_tokens_per_minute: positive.optional(),
        concurrency: positive.optional(),
      })
      .optional(),
    /** `http://host:port` or `socks5://host:port` through which this channel goes out. */
    outbound_proxy: z.string().optional(),
    /** Allows a private or loopback address: your own server. */
    allow_private: z.boolean().optional(),
    abort_stops_billing: z.enum(['yes', 'no', 'unknown']).optional(),
  })
  .refine(
    (channel) =>
      channel.provider !== undefined ||
      (channel.dialect !== undefined && channel.base_url !== undefined),
    {
      message: 'give `provider`, or both `dialect` and `base_url`',
    },
  );

export type ChannelDefinition = z.infer<typeof channelSchema>;
