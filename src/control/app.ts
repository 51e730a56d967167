/** The control plane over HTTP: one operator token, JSON in and out, an OpenAPI document of itself. */

import { timingSafeEqual } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { Hono, type Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import * as z from 'zod';
import { parseJson } from '#std';
import { openApiDocument } from './openapi.ts';
import { ControlRefusal, controlRoutes, type ControlRoute } from './routes.ts';
import type { ControlServices } from './services.ts';

export const controlPrefix = '/admin';
const bodyBytesMax = 1 << 20;

/** A request listener for everything below {@link controlPrefix}. `token` is the operator's secret. */
export function createControl(services: ControlServices, token: string): RequestListener {
  const app = new Hono().basePath(controlPrefix);
  app.use(
    bodyLimit({
      maxSize: bodyBytesMax,
      onError: (context) =>
        refuse(context, 413, 'body_too_large', 'The body must not exceed 1 MiB.'),
    }),
  );
  app.use(async (context, next) => {
    if (!isToken(context.req.header('authorization'), token)) {
      return refuse(
        context,
        401,
        'unauthorized',
        'Send `Authorization: Bearer <operator token>`; it is in the data folder as `admin_token`.',
      );
    }
    return next();
  });
  app.get('/openapi.json', (context) =>
    context.json(openApiDocument(controlRoutes, controlPrefix)),
  );
  for (const route of controlRoutes) register(app, services, route);
  app.notFound((context) =>
    refuse(
      context,
      404,
      'not_found',
      `There is no ${context.req.method} ${context.req.path}. ${controlPrefix}/openapi.json lists what there is.`,
    ),
  );
  app.onError((error, context) => {
    if (error instanceof ControlRefusal)
      return refuse(context, error.status, error.code, error.message);
    services.log('error', 'control.fault', {
      path: context.req.path,
      error: error.stack ?? error.message,
    });
    return refuse(context, 500, 'internal_error', 'Something went wrong; the log says what.');
  });
  const listener = getRequestListener(app.fetch);
  return (request, response) => void listener(request, response);
}

function register(app: Hono, services: ControlServices, route: ControlRoute): void {
  const path = route.path.replace(/\{(\w+)\}/g, ':$1');
  app.on(route.method.toUpperCase(), path, async (context) => {
    const parameters: Readonly<Record<string, string>> = context.req.param();
    for (const [name, text] of Object.entries({ ...context.req.query(), ...parameters }))
      if (text.includes('\0'))
        throw new ControlRefusal(400, 'invalid_request', `${name}: must not have zero characters`);
    const body = route.body === undefined ? undefined : await readBody(context, route.body);
    const result = await route.handle({
      services,
      parameters,
      query: readQuery(context, route.query ?? noQuery),
      body,
      actor: 'operator',
    });
    return context.json(result as object);
  });
}

async function readBody(context: Context, schema: z.ZodType): Promise<unknown> {
  const parsed = parseJson(await context.req.text());
  if (!parsed.ok)
    throw new ControlRefusal(400, 'invalid_json', `The body is not JSON: ${parsed.message}.`);
  return accepted(schema, parsed.value, 'invalid_body');
}

const noQuery = z.strictObject({});

function readQuery(context: Context, schema: z.ZodObject): unknown {
  const known = Object.keys(schema.shape);
  for (const [name, values] of Object.entries(context.req.queries())) {
    const wrong = !known.includes(name)
      ? `is no parameter of this path. ${known.length === 0 ? 'It has none' : `There are ${known.join(', ')}`}.`
      : values.length > 1
        ? 'is given more than once.'
        : undefined;
    if (wrong !== undefined)
      throw new ControlRefusal(400, 'invalid_query', `${name.slice(0, 80)}: ${wrong}`);
  }
  return accepted(schema, context.req.query(), 'invalid_query');
}

function accepted(schema: z.ZodType, value: unknown, code: string): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new ControlRefusal(
    400,
    code,
    `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`,
  );
}

function isToken(header: string | undefined, token: string): boolean {
  const given = Buffer.from(header?.replace(/^bearer /i, '') ?? '');
  const wanted = Buffer.from(token);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

function refuse(
  context: Context,
  status: 400 | 401 | 404 | 409 | 413 | 500,
  code: string,
  message: string,
): Response {
  return context.json({ error: { code, message } }, status);
}
