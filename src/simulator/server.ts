/**
 * The simulator: an upstream that speaks every dialect, for tests, demonstrations and benchmarks. It
 * answers from recordings where it has them, else from its own models, and does wrong on command.
 */

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import {
  explode,
  gatewayError,
  type ChatEvent,
  type ChatRequest,
  type ChatResponse,
  type ErrorCode,
} from '#canonical';
import {
  anthropicMessages,
  geminiGenerate,
  openaiChat,
  openaiCompletions,
  openaiResponses,
  type Dialect,
  type StreamForm,
} from '#dialects';
import {
  asArray,
  asNumber,
  asString,
  parseJson,
  parseJsonObject,
  type Clock,
  type JsonObject,
  type JsonValue,
  type Random,
} from '#std';
import { answer, embed, simulatorModels } from './answer.ts';
import { deliver, type Progress, type Reply } from './deliver.ts';
import { scriptSchema, Script, type Fault, type Rule } from './fault.ts';
import { Bill, entryOf, type Mark } from './meter.ts';
import { loadRecordings, operationOf, type Recordings } from './recordings.ts';
import { lieInStream, lieInWhole } from './usage-fault.ts';
import type { Turn } from './turns.ts';

// As a module, node:http would load Node's own fetch and WebSocket with it.
const { createServer } = process.getBuiltinModule('node:http');

export type SimulatorOptions = {
  readonly host: string;
  readonly port: number;
  /** Folder of recorded exchanges to serve. */
  readonly recordings?: string | undefined;
  /** File with fault rules (JSON, see fault.ts). */
  readonly script?: string | undefined;
  readonly rules?: readonly Rule[] | undefined;
  /** Scripted answers; the first that applies is given. */
  readonly turns?: readonly Turn[] | undefined;
  readonly clock: Clock;
  readonly random: Random;
  /** Milliseconds between the events of the simulator's own streams. */
  readonly paceMs?: number | undefined;
  /** Bill streams in full when the client leaves, as vendors do that cannot be interrupted. */
  readonly worksOnAfterAbort?: boolean | undefined;
};

/** What was asked, for tests that check what reached the upstream. */
export type SeenRequest = {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: JsonObject;
  readonly atMs: number;
  closedEarly: boolean;
  closedAtMs?: number;
};

export type RunningSimulator = {
  readonly url: string;
  readonly models: string[];
  /** The last thousand requests. */
  readonly seen: SeenRequest[];
  readonly script: Script;
  /** What would be billed, also at `GET /_bill`; `DELETE` clears it. */
  readonly bill: Bill;
  close(): Promise<void>;
};

const bodyBytesMax = 512 * 2 ** 20;
const seenMax = 1_000;

export async function startSimulator(options: SimulatorOptions): Promise<RunningSimulator> {
  const recordings =
    options.recordings === undefined ? undefined : loadRecordings(options.recordings);
  const script = new Script(
    options.rules ?? (options.script === undefined ? [] : readScript(options.script)),
    options.random,
    options.clock,
  );
  const seen: SeenRequest[] = [];
  const bill = new Bill();
  const simulator = new Simulator(options, recordings, script, seen, bill);
  const server = createServer((request, response) => void simulator.serve(request, response));
  server.requestTimeout = 0;
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    server.listen(options.port, options.host, listening);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${options.host}:${port}`,
    models: [...new Set([...simulatorModels, ...(recordings?.models ?? [])])],
    seen,
    script,
    bill,
    close: () => closeServer(server),
  };
}

/** Throws with the field at fault: a script that is half understood would test nothing. */
function readScript(path: string): readonly Rule[] {
  const parsed = parseJson(readFileSync(path, 'utf8'));
  if (!parsed.ok) throw new Error(`${path}: ${parsed.message}`);
  const script = scriptSchema.safeParse(parsed.value);
  if (script.success) return script.data;
  const issue = script.error.issues[0];
  throw new Error(`${path}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
}

function closeServer(server: Server): Promise<void> {
  return new Promise((closed) => {
    server.close(() => closed());
    server.closeAllConnections();
  });
}

const dialects: { readonly [operation: string]: Dialect } = {
  'chat/completions': openaiChat,
  completions: openaiCompletions,
  responses: openaiResponses,
  messages: anthropicMessages,
  generatecontent: geminiGenerate,
};

class Simulator {
  readonly #options: SimulatorOptions;
  readonly #recordings: Recordings | undefined;
  readonly #script: Script;
  readonly #seen: SeenRequest[];
  readonly #bill: Bill;
  #count = 0;
  readonly #startedAt: string;

  constructor(
    options: SimulatorOptions,
    recordings: Recordings | undefined,
    script: Script,
    seen: SeenRequest[],
    bill: Bill,
  ) {
    this.#options = options;
    this.#recordings = recordings;
    this.#script = script;
    this.#seen = seen;
    this.#bill = bill;
    this.#startedAt = options.clock.now().toString(36);
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      // Throws for targets such as `//`, which any stray program may send.
      const url = new URL(request.url ?? '/', 'http://simulator.invalid');
      const text = await readBody(request);
      if (url.pathname === '/_script') return this.#replaceScript(text, response);
      if (url.pathname === '/_bill') return this.#showBill(request.method === 'DELETE', response);
      const body = parseJsonObject(text) ?? {};
      const model = modelOf(url.pathname, body);
      const seen = this.#note(request, url.pathname, body);
      const fault = this.#script.next(model, url.pathname) ?? {};
      const verdict = this.#script.admit(model, url.pathname, body);
      const said = this.#reply(url, model, body, verdict.admitted ? fault : { status: 429 });
      const reply = { ...said, headers: { ...said.headers, ...verdict.headers } };
      const progress: Progress = { bytes: 0 };
      response.once('close', () => {
        verdict.release();
        seen.closedEarly = !response.writableFinished;
        seen.closedAtMs = this.#options.clock.now();
        this.#charge(seen, model, reply, fault, progress);
      });
      await deliver(response, reply, verdict.admitted ? fault : {}, progress);
    } catch {
      response.destroy();
    }
  }

  #note(request: IncomingMessage, path: string, body: JsonObject): SeenRequest {
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(request.headers))
      if (typeof value === 'string') headers[name] = value;
    const seen: SeenRequest = {
      path,
      headers,
      body,
      atMs: this.#options.clock.now(),
      closedEarly: false,
    };
    this.#seen.push(seen);
    if (this.#seen.length > seenMax) this.#seen.shift();
    return seen;
  }

  #charge(seen: SeenRequest, model: string, reply: Reply, fault: Fault, progress: Progress): void {
    const { measured } = reply;
    if (!measured || fault.reset === true || fault.silent === true || (fault.status ?? 200) >= 400)
      return;
    const { path, atMs, headers } = seen;
    const place = { attemptId: headers['x-client-request-id'], path, model, atMs };
    const whole = Buffer.isBuffer(reply.body)
      ? 0
      : reply.body.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0);
    const complete = this.#options.worksOnAfterAbort === true || progress.bytes >= whole;
    this.#bill.add(entryOf(place, measured, progress.bytes, complete));
  }

  #showBill(clears: boolean, response: ServerResponse): void {
    if (clears) this.#bill.clear();
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ object: 'list', data: this.#bill.entries }));
  }

  /** `PUT /_script` with rules replaces them while the simulator runs. */
  #replaceScript(text: string, response: ServerResponse): void {
    const parsed = parseJson(text);
    const script = scriptSchema.safeParse(parsed.ok ? parsed.value : undefined);
    if (script.success) this.#script.replace(script.data);
    response.writeHead(script.success ? 200 : 400, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(
        script.success ? { rules: script.data.length } : { error: script.error.issues.slice(0, 3) },
      ),
    );
  }

  #reply(url: URL, model: string, body: JsonObject, fault: Fault): Reply {
    const operation = operationOf(url.pathname);
    const dialect = dialects[operation];
    const stream = body['stream'] === true || url.pathname.includes(':stream');
    if (fault.status !== undefined && fault.status >= 400)
      return errorReply(dialect ?? openaiChat, fault.status);
    const recorded = this.#recordings?.find(url.pathname, model, stream, body);
    if (recorded && this.#recordings) {
      const type =
        recorded.headers['content-type'] ??
        (recorded.bodyFile.endsWith('.sse') ? 'text/event-stream' : 'application/json');
      return {
        status: recorded.status,
        headers: { ...recorded.headers, 'content-type': type },
        body: this.#recordings.body(recorded),
        paceMs: 0,
      };
    }
    if (
      operation === 'embeddings' ||
      operation.startsWith('batchembed') ||
      operation === 'embedcontent'
    )
      return embeddingReply(operation, body, model);
    if (operation === 'counttokens') return jsonReply({ totalTokens: 7 });
    if (operation === 'messages/count_tokens' || operation === 'responses/input_tokens')
      return jsonReply({ input_tokens: 7 });
    if (!dialect) return errorReply(openaiChat, 404);
    return this.#chat(dialect, url, model, body, stream, fault);
  }

  #chat(
    dialect: Dialect,
    url: URL,
    model: string,
    body: JsonObject,
    stream: boolean,
    fault: Fault,
  ): Reply {
    this.#count += 1;
    const request: ChatRequest = { ...dialect.request.decode(body, { model, stream }), model };
    const made = answer(
      request,
      // Unlike those of an earlier run, so that stored answers of both can be told apart.
      `sim-${this.#startedAt}-${this.#count}`,
      Math.floor(this.#options.clock.now() / 1000),
      this.#options.turns,
      fault.prefill,
    );
    const { usage = {} } = made;
    const lie = fault.usage;
    if (!stream) {
      const wire = dialect.response.encode(made, request).value;
      return {
        ...jsonReply(lie === undefined ? wire : lieInWhole(wire, lie)),
        measured: { usage, marks: [] },
      };
    }
    const form: StreamForm = {
      framing:
        dialect === geminiGenerate && url.searchParams.get('alt') !== 'sse' ? 'json-array' : 'sse',
    };
    const told = streamPieces(dialect, request, made, form, fault.error_after_events);
    const texts = lie === undefined ? told.texts : lieInStream(told.texts, lie);
    return {
      status: 200,
      headers: {
        'content-type': form.framing === 'sse' ? 'text/event-stream' : 'application/json',
      },
      body: texts,
      paceMs: fault.pace_ms ?? this.#options.paceMs ?? 0,
      ...(fault.error_after_events === undefined ? { measured: { usage, marks: told.marks } } : {}),
    };
  }
}

/** The wire text of a stream in its events, and how much of the answer each of them brings. */
function streamPieces(
  dialect: Dialect,
  request: ChatRequest,
  response: ChatResponse,
  form: StreamForm,
  errorAfterEvents: number | undefined,
): { readonly texts: readonly string[]; readonly marks: readonly Mark[] } {
  const encoder = dialect.stream.encoder({ ...request, stream: true }, form);
  const texts: string[] = [];
  const marks: Mark[] = [];
  const reasoning = new Set<number>();
  const mark = { bytes: 0, visibleCharacters: 0, reasoningCharacters: 0 };
  for (const event of explodeFinely(explode(response))) {
    if (event.kind === 'part-start' && event.part.kind === 'reasoning') reasoning.add(event.index);
    const characters = charactersOf(event);
    if ('index' in event && reasoning.has(event.index)) mark.reasoningCharacters += characters;
    else mark.visibleCharacters += characters;
    const text = encoder.push(event);
    if (text === '') continue;
    mark.bytes += Buffer.byteLength(text);
    texts.push(text);
    marks.push({ ...mark });
    if (errorAfterEvents !== undefined && texts.length >= errorAfterEvents) {
      texts.push(encoder.push({ kind: 'error', error: gatewayError('overloaded', 'Overloaded') }));
      break;
    }
  }
  return { texts, marks };
}

function charactersOf(event: ChatEvent): number {
  if (event.kind === 'part-delta') return event.delta.length;
  if (event.kind !== 'part-start') return 0;
  if (event.part.kind === 'tool-call') return event.part.name.length + event.part.input.length;
  return 'text' in event.part ? event.part.text.length : 0;
}

/** Words instead of whole texts, so that a stream looks like one. */
function* explodeFinely(events: Iterable<ChatEvent>): Generator<ChatEvent> {
  for (const event of events) {
    if (event.kind !== 'part-delta') yield event;
    else for (const delta of event.delta.split(/(?<=[ ,"])/)) yield { ...event, delta };
  }
}

function modelOf(path: string, body: JsonObject): string {
  const inPath =
    /\/models\/([^/]+?)(?::[A-Za-z]+)?$/.exec(path)?.[1] ?? /\/model\/([^/]+)\//.exec(path)?.[1];
  return inPath === undefined ? (asString(body['model']) ?? '') : decodeURIComponent(inPath);
}

const codes: { readonly [status: number]: ErrorCode } = {
  400: 'invalid_request',
  401: 'invalid_api_key',
  403: 'permission_denied',
  404: 'model_not_found',
  413: 'body_too_large',
  429: 'rate_limited',
  503: 'overloaded',
  529: 'overloaded',
};

function errorReply(dialect: Dialect, status: number): Reply {
  const error = gatewayError(codes[status] ?? 'internal_error', `Simulated error ${status}.`, {
    status,
  });
  return {
    status,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(dialect.error.encode(error, 'req_sim').body)),
    paceMs: 0,
  };
}

function jsonReply(value: JsonObject): Reply {
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(value)),
    paceMs: 0,
  };
}

const dimensionsDefault = 64;

function embeddingReply(operation: string, body: JsonObject, model: string): Reply {
  if (operation !== 'embeddings') {
    const requests = operation === 'embedcontent' ? [body] : (asArray(body['requests']) ?? []);
    const embeddings = requests.map((request) => ({
      values: embed(JSON.stringify(request), dimensionsDefault),
    }));
    return jsonReply(
      operation === 'embedcontent'
        ? { embedding: embeddings[0] ?? { values: [] } }
        : { embeddings },
    );
  }
  const inputs: readonly JsonValue[] =
    typeof body['input'] === 'string' ? [body['input']] : (asArray(body['input']) ?? []);
  const dimensions = asNumber(body['dimensions']) ?? dimensionsDefault;
  const texts = inputs.map((input) => (typeof input === 'string' ? input : JSON.stringify(input)));
  const data = texts.map((text, index) => {
    const vector = embed(text, dimensions);
    const embedding =
      body['encoding_format'] === 'base64'
        ? Buffer.from(new Float32Array(vector).buffer).toString('base64')
        : vector;
    return { object: 'embedding', index, embedding };
  });
  const tokens = texts.reduce((sum, text) => sum + Math.ceil(text.length / 4), 0);
  return jsonReply({
    object: 'list',
    data,
    model,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  });
}

async function readBody(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of request) {
    const bytes = piece as Buffer;
    size += bytes.length;
    if (size > bodyBytesMax) throw new RangeError('body too large');
    pieces.push(bytes);
  }
  return Buffer.concat(pieces).toString('utf8');
}
