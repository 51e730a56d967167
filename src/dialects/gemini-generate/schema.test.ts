import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { JsonObject } from '#std';
import { schemaFromOpenApi } from './schema-decode.ts';
import { schemaForJsonField, schemaForOpenApi } from './schema-encode.ts';

function subset(schema: JsonObject): {
  readonly value: JsonObject;
  readonly losses: readonly string[];
} {
  const losses: string[] = [];
  return { value: schemaForOpenApi(schema, '', (path) => losses.push(path)), losses };
}

test('the OpenAPI subset is read as JSON Schema and written back', () => {
  const openApi = {
    type: 'OBJECT',
    properties: {
      type: { type: 'STRING', nullable: true, enum: ['a'] },
      list: { type: 'ARRAY', items: { type: 'NUMBER' }, minItems: '1' },
    },
    propertyOrdering: ['list', 'type'],
  };
  const schema = schemaFromOpenApi(openApi);
  assert.deepEqual(schema['properties'], {
    type: { type: ['string', 'null'], enum: ['a', null] },
    list: { type: 'array', items: { type: 'number' }, minItems: 1 },
  });
  const back = subset(schema);
  assert.deepEqual(back.losses, []);
  assert.deepEqual(back.value, {
    ...openApi,
    properties: { ...openApi.properties, list: { ...openApi.properties.list, minItems: 1 } },
  });
});

test('references are inlined; a schema that holds itself is cut and said', () => {
  const { value, losses } = subset({
    $defs: {
      point: { type: 'object', properties: { x: { type: 'integer' } } },
      tree: { type: 'object', properties: { left: { $ref: '#/$defs/tree' } } },
    },
    type: 'object',
    properties: { p: { $ref: '#/$defs/point', description: 'd' }, t: { $ref: '#/$defs/tree' } },
  });
  assert.deepEqual(value, {
    type: 'OBJECT',
    properties: {
      p: { type: 'OBJECT', properties: { x: { type: 'INTEGER' } }, description: 'd' },
      t: { type: 'OBJECT', properties: { left: { type: 'OBJECT' } } },
    },
  });
  assert.deepEqual(losses, ['.properties.t.properties.left']);
});

test('const, type lists, allOf, oneOf and bounds are rewritten', () => {
  assert.deepEqual(subset({ const: 'a' }).value, { enum: ['a'], type: 'STRING' });
  assert.deepEqual(subset({ type: ['string', 'null'] }).value, { nullable: true, type: 'STRING' });
  assert.deepEqual(subset({ type: ['string', 'number'] }).value, {
    anyOf: [{ type: 'STRING' }, { type: 'NUMBER' }],
  });
  assert.deepEqual(subset({ oneOf: [{ type: 'string' }, { type: 'null' }] }).value, {
    nullable: true,
    type: 'STRING',
  });
  const all = subset({
    allOf: [
      { type: 'object', properties: { a: {} }, required: ['a'] },
      { properties: { b: {} }, required: ['b'] },
    ],
  });
  assert.deepEqual(all.value, {
    type: 'OBJECT',
    properties: { a: {}, b: {} },
    required: ['a', 'b'],
  });
  assert.deepEqual(subset({ type: 'integer', exclusiveMinimum: 3 }).value, {
    type: 'INTEGER',
    minimum: 4,
  });
  assert.deepEqual(subset({ type: 'object', properties: {}, additionalProperties: false }).value, {
    type: 'OBJECT',
  });
  assert.deepEqual(subset({ enum: [1, 2], type: 'integer', not: {} }).losses, ['.enum', '.not']);
});

test('the JSON Schema fields take all but const, and properties may have any name', () => {
  const schema = {
    type: 'object',
    properties: { const: { const: 1 }, $ref: { $ref: '#/$defs/a' } },
    $defs: { a: { const: 'x' } },
    default: { const: 2 },
  };
  assert.deepEqual(schemaForJsonField(schema), {
    type: 'object',
    properties: { const: { enum: [1] }, $ref: { $ref: '#/$defs/a' } },
    $defs: { a: { enum: ['x'] } },
    default: { const: 2 },
  });
});

test('a schema that would be huge or endless when written out is cut and said', () => {
  assert.deepEqual(subset({ allOf: [{ $ref: '#' }] }).losses.length, 1);
  const names = 'abcdefgh'.split('');
  const $defs: Record<string, JsonObject> = {};
  for (const [index, name] of names.entries()) {
    const next = { $ref: `#/$defs/${names[index + 1] ?? 'none'}` };
    const properties = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`p${at}`, next]));
    $defs[name] = { type: 'object', properties };
  }
  const { value, losses } = subset({ $defs, $ref: '#/$defs/a' });
  assert.ok(JSON.stringify(value).length < 1_000_000);
  assert.ok(losses.length > 0);
});

test('no JSON breaks the conversions', () => {
  const seed = 20_261_123;
  fc.assert(
    fc.property(
      fc.jsonValue({ maxDepth: 6 }),
      fc.constantFrom(
        'allOf',
        'anyOf',
        'properties',
        'items',
        'type',
        'enum',
        '$ref',
        'const',
        'required',
      ),
      (value, key) => {
        const schema = { [key]: value, type: 'object' } as JsonObject;
        subset(schema);
        schemaForJsonField(schema);
        schemaFromOpenApi(schema);
      },
    ),
    { seed, numRuns: 500 },
  );
});
