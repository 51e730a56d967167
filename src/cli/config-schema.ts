/**
 * Every setting, its default and its meaning. docs/reference/configuration.md is written from the
 * descriptions here by `npm run gen`.
 */

import * as z from 'zod';
import { readRange } from '#access';
import { modelSchema } from '#catalog';
import { channelSchema } from '#providers';

/** Empty, an address would be all of this machine's, and a folder the working directory. */
const filled = z.string().min(1, 'expected a text that is not empty');
const positive = z.number().int().positive();
/** What a timer can wait; a longer time would fire at once. */
const milliseconds = positive.max(2_147_483_647);

export const workersMax = 64;

export const configSchema = z.strictObject({
  listen: z
    .strictObject({
      host: filled
        .default('127.0.0.1')
        .describe('Address to listen on. 127.0.0.1 answers this machine only.'),
      port: z
        .number()
        .int()
        .min(0)
        .max(65535)
        .default(8080)
        .describe('Port; 0 takes any free one.'),
      hosts: z
        .array(filled)
        .optional()
        .describe('Host names that clients may use; any when absent.'),
      trusted_proxies: z
        .array(
          z.string().refine((text) => readRange(text) !== undefined, {
            message: 'expected an address or a range such as 10.0.0.0/8',
          }),
        )
        .default([])
        .describe(
          'Addresses and ranges of reverse proxies. Whom their `x-forwarded-for` names is the client, whose address the `ip_ranges` of keys are about; they may open as many connections as they like.',
        ),
      cors_origins: z
        .union([
          z.literal('*'),
          z.array(
            z.string().refine((text) => URL.parse(text)?.origin === text, {
              message: 'expected an origin such as https://app.example, without a path',
            }),
          ),
        ])
        .default([])
        .describe('Origins of browsers that may call, or "*".'),
    })
    .prefault({}),
  data: filled
    .default('./data')
    .describe('Folder of the embedded database and of the secret that guards key digests.'),
  database_url: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'expected an address that begins with postgres://')
    .optional()
    .describe('PostgreSQL instead of the embedded database, for several nodes.'),
  node_id: z
    .string()
    .regex(/^[A-Za-z0-9._:-]{1,100}$/, 'expected letters, digits, dots, colons and dashes')
    .optional()
    .describe(
      'Name of this process among those that share a database; each has its own, and keeps it over restarts. Default with PostgreSQL: host name and port.',
    ),
  pepper: z
    .string()
    .min(32)
    .optional()
    .describe(
      'Secret that guards key digests, the same on all nodes that share a database. Default: made once in the data folder.',
    ),
  operator_token: z
    .string()
    .min(32)
    .optional()
    .describe('Secret of the control API. Default: made once in the data folder.'),
  limits: z
    .strictObject({
      body_bytes: positive
        .max(536_870_912)
        .default(33_554_432)
        .describe('Largest request body; at most 536870912.'),
      held_bytes: positive
        .default(268_435_456)
        .describe('Bodies of all running requests together.'),
      connections: positive.default(10_000).describe('Open client connections.'),
      connections_per_address: positive
        .default(2_000)
        .describe(
          'Those of one address; more are closed unanswered. Raise it where one server asks for many users. Loopback and trusted proxies are exempt.',
        ),
    })
    .refine(({ body_bytes, held_bytes }) => held_bytes >= body_bytes, {
      message: 'must not be below limits.body_bytes, or the largest request never fits',
      path: ['held_bytes'],
    })
    .prefault({}),
  streaming: z
    .strictObject({
      heartbeat_ms: milliseconds
        .default(15_000)
        .describe('Silence after which a heartbeat goes to the client.'),
      hold_headers_ms: milliseconds
        .default(10_000)
        .describe('How long the status line waits for the first content.'),
      drain_ms: milliseconds
        .default(60_000)
        .describe(
          'How long to read on after the client left, where leaving does not stop the vendor.',
        ),
      drains: positive.default(64).describe('Such readings at once.'),
      continue_cut_answers: z
        .boolean()
        .default(false)
        .describe(
          'Whether a text that an upstream breaks off is continued by another channel where that is possible, instead of ending as an error.',
        ),
    })
    .prefault({}),
  workers: positive
    .max(workersMax)
    .default(1)
    .describe(
      'Processes that serve the port together; with more than one, another keeps the books and the limits for all.',
    ),
  worker_silence_ms: milliseconds
    .min(5_000)
    .default(30_000)
    .describe('A worker that says nothing for so long has hung: it is killed, and replaced.'),
  request_ms: milliseconds.default(3_600_000).describe('Longest life of one request.'),
  stop_ms: milliseconds
    .default(60_000)
    .describe(
      'How long running requests may finish when the server stops. Streams that need longer end with the error `shutting_down`, charged for what was delivered.',
    ),
  routing_headers: z
    .boolean()
    .default(true)
    .describe('Whether answers name the channel and the number of attempts.'),
  log_level: z
    .enum(['debug', 'info', 'warning', 'error'])
    .default('info')
    .describe('Least level that is logged.'),
  simulator: z
    .boolean()
    .default(true)
    .describe('Whether the built-in simulator answers as a provider.'),
  recordings: z
    .string()
    .optional()
    .describe('Folder of recorded exchanges that the simulator serves as well.'),
  aliases: z
    .record(z.string(), z.string())
    .default({})
    .describe('Other names for models: alias → model.'),
  models: z
    .array(modelSchema)
    .default([])
    .describe('Models of your own, or replacements of catalog entries.'),
  channels: z
    .array(channelSchema)
    .default([])
    .describe('Credentials and endpoints. Keys in the environment make channels by themselves.'),
});

export type Config = z.infer<typeof configSchema>;
