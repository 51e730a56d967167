/**
 * Recorded exchanges as answers. A folder holds cases at any depth; a case is a folder with `meta.json`
 * (endpoint, status, stream, model), the answer as `response.json|sse|txt|bin`, and `request.json`
 * when the request is known. A request is matched by endpoint, model and body, best match first.
 */

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  asBoolean,
  asNumber,
  asObject,
  asString,
  parseJsonObject,
  type JsonObject,
  type JsonValue,
} from '#std';

export type RecordedCase = {
  readonly name: string;
  readonly path: string;
  readonly model: string;
  readonly stream: boolean;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly bodyFile: string;
  /** Digests of the request as sent and of its conversation alone. */
  readonly exact: string | undefined;
  readonly conversation: string | undefined;
};

export type Recordings = {
  readonly cases: readonly RecordedCase[];
  /** Model names that were asked for, for the channel that serves them. */
  readonly models: readonly string[];
  find(path: string, model: string, stream: boolean, body: JsonObject): RecordedCase | undefined;
  body(found: RecordedCase): Buffer;
};

const depthMax = 6;

export function loadRecordings(folder: string): Recordings {
  const cases: RecordedCase[] = [];
  walk(folder, '', 0, cases);
  const byPlace = new Map<string, RecordedCase[]>();
  for (const found of cases) {
    const key = placeKey(found.path, found.model);
    const list = byPlace.get(key);
    if (list) list.push(found);
    else byPlace.set(key, [found]);
  }
  return {
    cases,
    models: [...new Set(cases.map((found) => found.model).filter((model) => model !== ''))].sort(),
    find: (path, model, stream, body) =>
      best(byPlace.get(placeKey(path, model)) ?? [], stream, body),
    body: (found) => readFileSync(found.bodyFile),
  };
}

function walk(folder: string, name: string, depth: number, cases: RecordedCase[]): void {
  if (depth > depthMax) return;
  if (existsSync(join(folder, 'meta.json'))) {
    const found = readCase(folder, name);
    if (found) cases.push(found);
    return;
  }
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory())
      walk(
        join(folder, entry.name),
        name === '' ? entry.name : `${name}/${entry.name}`,
        depth + 1,
        cases,
      );
  }
}

const bodyFiles = ['response.json', 'response.sse', 'response.txt', 'response.bin'];

function readCase(folder: string, name: string): RecordedCase | undefined {
  const meta = parseJsonObject(readFileSync(join(folder, 'meta.json'), 'utf8'));
  const bodyFile = bodyFiles.map((file) => join(folder, file)).find((file) => existsSync(file));
  const endpoint = asString(meta?.['endpoint']);
  if (!meta || bodyFile === undefined || endpoint === undefined) return undefined;
  const requestFile = join(folder, 'request.json');
  const request = existsSync(requestFile)
    ? parseJsonObject(readFileSync(requestFile, 'utf8'))
    : undefined;
  return {
    name,
    path: pathOf(endpoint),
    model: asString(meta['request_model']) ?? asString(meta['model']) ?? '',
    stream: asBoolean(meta['stream']) ?? false,
    status: asNumber(meta['status']) ?? 200,
    headers: textFields(asObject(meta['response_headers'])),
    bodyFile,
    exact: request && digest(request),
    conversation: request && conversationDigest(request),
  };
}

function textFields(object: JsonObject | undefined): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {};
  for (const [name, value] of Object.entries(object ?? {}))
    if (typeof value === 'string') fields[name] = value;
  return fields;
}

/**
 * Vendors put the same endpoint under different prefixes (`/openai/v1`, `/api/paas/v4`): what counts is
 * the operation at the end. Gemini's verb stands after a colon; its two ways of streaming are one.
 */
export function operationOf(path: string): string {
  const verb = /:([A-Za-z]+)$/.exec(path)?.[1];
  if (verb !== undefined)
    return verb === 'streamGenerateContent' || verb === 'streamRawPredict'
      ? verb.replace('stream', '').toLowerCase()
      : verb.toLowerCase();
  for (const operation of [
    'chat/completions',
    'completions',
    'responses/input_tokens',
    'responses',
    'messages/count_tokens',
    'messages',
    'embeddings',
  ]) {
    if (path.endsWith(`/${operation}`)) return operation;
  }
  return path;
}

function placeKey(path: string, model: string): string {
  return `${operationOf(path)} ${model}`;
}

function best(
  cases: readonly RecordedCase[],
  stream: boolean,
  body: JsonObject,
): RecordedCase | undefined {
  const exact = digest(body);
  const conversation = conversationDigest(body);
  const fitting = cases.filter((found) => found.stream === stream || found.status >= 400);
  return (
    fitting.find((found) => found.exact === exact) ??
    fitting.find((found) => found.conversation === conversation) ??
    fitting.find((found) => found.status === 200) ??
    fitting[0]
  );
}

/** What a gateway may change on the way (limits, usage options, storage) does not count. */
const conversationFields = ['messages', 'input', 'contents', 'prompt'];

function conversationDigest(body: JsonObject): string {
  return digest(
    Object.fromEntries(conversationFields.map((field) => [field, body[field] ?? null])),
  );
}

function digest(value: JsonValue): string {
  return createHash('sha256').update(stable(value)).digest('base64');
}

/** JSON with sorted keys: two spellings of one value digest alike. */
function stable(value: JsonValue | undefined): string {
  if (Array.isArray(value))
    return `[${value.map((element: JsonValue) => stable(element)).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value as JsonObject).filter(([, inner]) => inner !== undefined);
    return `{${entries
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => `${JSON.stringify(key)}:${stable(inner)}`)
      .join(',')}}`;
  }
  return JSON.stringify(value ?? null);
}

/** Path of an endpoint, also of one with places that were blotted out in its host. */
function pathOf(endpoint: string): string {
  const path = endpoint.replace(/^[a-z]+:\/\/[^/]*/, '').replace(/[?#].*$/, '');
  return path === '' ? '/' : path;
}
