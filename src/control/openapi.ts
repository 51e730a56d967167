/** OpenAPI 3.1 of the control plane, made from its own table of routes. */

import * as z from 'zod';
import type { JsonObject } from '#std';
import type { ControlRoute } from './routes.ts';

export function openApiDocument(routes: readonly ControlRoute[], prefix: string): JsonObject {
  const paths: Record<string, Record<string, JsonObject>> = {};
  for (const route of routes) {
    const operations = (paths[prefix + route.path] ??= {});
    operations[route.method] = operation(route);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Manifold control API', version: '1' },
    components: { securitySchemes: { operator: { type: 'http', scheme: 'bearer' } } },
    security: [{ operator: [] }],
    paths,
  };
}

function operation(route: ControlRoute): JsonObject {
  const places = [...route.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '');
  const { properties = {} } = z.toJSONSchema(route.query ?? z.object({}), { io: 'input' });
  const parameters = [
    ...places.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
    ...Object.entries(properties).map(([name, schema]) => ({
      name,
      in: 'query',
      required: false,
      schema: schema as JsonObject,
    })),
  ];
  const content = (schema: z.ZodType, io: 'input' | 'output'): JsonObject => ({
    'application/json': {
      schema: z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as JsonObject,
    },
  });
  return {
    operationId: `${route.method}_${route.path.replace(/[{}]/g, '').split('/').filter(Boolean).join('_')}`,
    summary: route.summary,
    parameters,
    ...(route.body
      ? { requestBody: { required: true, content: content(route.body, 'input') } }
      : {}),
    responses: {
      200: { description: 'Done', content: content(route.response, 'output') },
      400: { description: 'Bad request' },
      401: { description: 'No or wrong operator token' },
    },
  };
}
