/**
 * Reads the recorded vendor traffic that tests compare the dialects with. The recordings are data
 * beside the repository, not in it: `$MANIFOLD_RECORDINGS`, else `../shared/recordings`.
 */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { createSseParser, parseJson, type JsonObject, type SseFrame } from '#std';

export type RecordingIndexEntry = {
  readonly case: string;
  readonly provider: string;
  readonly kind: string;
  readonly stream: boolean;
  readonly status: number;
  readonly model?: string;
  readonly exercises: readonly string[];
  readonly quirks: readonly string[];
};

/** `meta.json` of a case; `expected` is the plain reading of the body that tests compare with. */
export type RecordingMeta = {
  readonly provider: string;
  readonly kind: string;
  /** `null` where no dialect of the four applies. */
  readonly dialect: string | null;
  readonly method: string;
  readonly endpoint: string;
  readonly status: number;
  readonly stream: boolean;
  readonly model?: string;
  readonly request_model?: string;
  readonly request?: string;
  readonly response?: string;
  readonly response_fidelity?: string;
  readonly response_headers?: { readonly [name: string]: string };
  readonly request_base64_elided?: unknown;
  readonly exercises: readonly string[];
  readonly wire_quirks: readonly string[];
  readonly expected?: { readonly [field: string]: unknown };
};

export type RecordingCase = {
  /** `<provider>/<kind>/<case>`. */
  readonly name: string;
  readonly meta: RecordingMeta;
  /** The request body, or `undefined` when the source had none or it was a multipart form. */
  readonly request: JsonObject | undefined;
  readonly responseBytes: Buffer;
  /** Extension of the response file: `json`, `sse`, `txt`, `bin`. */
  readonly responseForm: string;
};

export type CaseFilter = {
  readonly kinds?: readonly string[];
  readonly providers?: readonly string[];
  readonly stream?: boolean;
};

const repositoryFolder = path.resolve(import.meta.dirname, '../..');

/** The folder of the recordings, or `undefined` when they are not on this machine. */
export function recordingsFolder(): string | undefined {
  const folder =
    process.env['MANIFOLD_RECORDINGS'] ?? path.resolve(repositoryFolder, '../shared/recordings');
  return existsSync(path.join(folder, 'index.jsonl')) ? folder : undefined;
}

/**
 * The cases that match, in the order of the index. Files are read when the iteration reaches them.
 * Without recordings: nothing is yielded, after one test that fails when `CI=true` and is skipped
 * with a message otherwise, so that an empty run can never look like a green one.
 */
export function* listCases(filter: CaseFilter = {}): Generator<RecordingCase> {
  const folder = recordingsFolder();
  if (folder === undefined) return reportAbsence();
  for (const entry of readIndex(folder)) {
    if (matches(entry, filter)) yield readCase(folder, entry.case);
  }
}

/** The frames of an SSE body, fed to the parser `chunkBytes` at a time (whole unless told). */
export function sseFrames(bytes: Uint8Array, chunkBytes = bytes.length): readonly SseFrame[] {
  const parser = createSseParser();
  const frames: SseFrame[] = [];
  for (let start = 0; start < bytes.length; start += chunkBytes) {
    frames.push(...parser.push(bytes.subarray(start, start + chunkBytes)));
  }
  const last = parser.end();
  if (last !== undefined) frames.push(last);
  return frames;
}

function readIndex(folder: string): readonly RecordingIndexEntry[] {
  const entries: RecordingIndexEntry[] = [];
  for (const line of readFileSync(path.join(folder, 'index.jsonl'), 'utf8').split('\n')) {
    if (line !== '') entries.push(parseOrThrow(line, 'index.jsonl') as RecordingIndexEntry);
  }
  return entries;
}

function matches(entry: RecordingIndexEntry, filter: CaseFilter): boolean {
  if (filter.kinds && !filter.kinds.includes(entry.kind)) return false;
  if (filter.providers && !filter.providers.includes(entry.provider)) return false;
  return filter.stream === undefined || filter.stream === entry.stream;
}

function readCase(folder: string, name: string): RecordingCase {
  const caseFolder = path.join(folder, name);
  const meta = readJson(path.join(caseFolder, 'meta.json')) as RecordingMeta;
  const responseName = meta.response ?? findResponse(caseFolder);
  return {
    name,
    meta,
    request: readRequest(path.join(caseFolder, 'request.json')),
    responseBytes:
      responseName === undefined
        ? Buffer.alloc(0)
        : readFileSync(path.join(caseFolder, responseName)),
    responseForm: responseName === undefined ? '' : path.extname(responseName).slice(1),
  };
}

function findResponse(caseFolder: string): string | undefined {
  const names = ['response.json', 'response.sse', 'response.txt', 'response.bin', 'session.jsonl'];
  return names.find((name) => existsSync(path.join(caseFolder, name)));
}

function readRequest(file: string): JsonObject | undefined {
  if (!existsSync(file)) return undefined;
  const request = readJson(file) as JsonObject;
  return typeof request === 'object' && request !== null && !('_multipart' in request)
    ? request
    : undefined;
}

function readJson(file: string): unknown {
  return parseOrThrow(readFileSync(file, 'utf8'), file);
}

function parseOrThrow(text: string, where: string): unknown {
  const parsed = parseJson(text);
  if (!parsed.ok) throw new Error(`${where}: ${parsed.message}`);
  return parsed.value;
}

function reportAbsence(): void {
  const explanation =
    'the recordings are not on this machine: set MANIFOLD_RECORDINGS to their folder';
  test(
    'recordings are present',
    { skip: process.env['CI'] === 'true' ? false : explanation },
    () => {
      throw new Error(explanation);
    },
  );
  process.stderr.write(`\n*** ${explanation}; nothing was compared. ***\n\n`);
}
