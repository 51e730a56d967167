/**
 * The state of the Responses API, kept by the gateway: `previous_response_id`, item references and
 * `GET /v1/responses/{id}` work over every upstream, because every upstream sees a request that
 * stands for itself. Bounded by the store's byte limit and by age (docs/decisions/responses-state.md).
 */

import type { Principal } from '#access';
import { fail } from '#canonical';
import {
  historyItems,
  inputItems,
  previousResponseNotFound,
  stateNeeds,
  withHistory,
  type StateNeeds,
} from '#dialects';
import { asObjects, asString, parseJsonObject, type JsonObject } from '#std';
import { authenticateReading } from './admission.ts';
import { reading } from './call.ts';
import type { Exchange } from './http/index.ts';
import type { Services } from './services.ts';

const namespace = 'responses';
/**
 * The answer without its output. It repeats the request's instructions and tools, often a hundred
 * times the size of the step, which a chain need not read.
 */
const frameNamespace = 'response-frames';
/** Which response an output item stands in: clients refer to items without naming it. */
const itemNamespace = 'response-items';
/** Items that one request may refer to. */
const referencesMax = 2_000;
/** As long as OpenAI keeps them by default. */
const keepMs = 30 * 24 * 3_600_000;
/** Longest chain of `previous_response_id` that is followed. */
const chainMax = 10_000;

/** One step of a conversation, as later requests go on from it. */
type StoredStep = {
  readonly previous: string | undefined;
  readonly input: readonly JsonObject[];
  readonly output: readonly JsonObject[];
};

/** How much of what is stored one request may bring together. */
const historyBytesMax = 64 * 2 ** 20;

/** Counts what a request brings together. */
class Loaded {
  #bytes = 0;

  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > historyBytesMax)
      fail(
        'invalid_request',
        `The stored conversation is larger than ${historyBytesMax / 2 ** 20} MiB. Begin a new one, or send the items that matter.`,
        { path: 'input' },
      );
  }
}

async function load(
  { store }: Services,
  { walletId }: Principal,
  space: string,
  id: string,
): Promise<{ readonly object: JsonObject; readonly bytes: number } | undefined> {
  const blob = await store.blobs.get(space, id, walletId);
  const object = blob && parseJsonObject(Buffer.from(blob.body).toString('utf8'));
  return object && { object, bytes: blob.body.length };
}

async function loadStep(
  services: Services,
  principal: Principal,
  id: string,
  loaded?: Loaded,
): Promise<StoredStep | undefined> {
  const stored = await load(services, principal, namespace, id);
  if (!stored) return undefined;
  loaded?.add(stored.bytes);
  const { previous, input, output } = stored.object;
  return { previous: asString(previous), input: asObjects(input), output: asObjects(output) };
}

async function loadResponse(
  services: Services,
  principal: Principal,
  id: string,
): Promise<JsonObject | undefined> {
  const step = await loadStep(services, principal, id);
  const frame = await load(services, principal, frameNamespace, id);
  return step && frame && { ...frame.object, output: step.output };
}

export type ResolvedState = {
  /** The request with its history in `input`; the same object when there was none. */
  readonly wire: JsonObject;
  readonly needs: StateNeeds;
  readonly changed: boolean;
};

/** Puts the stored conversation into the request. Throws GatewayFailure 400 naming an unknown id. */
export async function resolveState(
  services: Services,
  principal: Principal,
  wire: JsonObject,
): Promise<ResolvedState> {
  const needs = reading(() => stateNeeds(wire));
  if (needs.previousResponseId === undefined && needs.itemIds.length === 0)
    return { wire, needs, changed: false };
  const steps: (readonly JsonObject[])[] = [];
  const loaded = new Loaded();
  let id = needs.previousResponseId;
  while (id !== undefined) {
    if (steps.length >= chainMax)
      fail(
        'invalid_request',
        `The stored conversation has more than ${chainMax} steps. Begin a new one, or send the items that matter.`,
        { path: 'previous_response_id' },
      );
    const stored = await loadStep(services, principal, id, loaded);
    if (!stored) {
      const missing = id;
      reading(() => {
        throw previousResponseNotFound(missing);
      });
      break;
    }
    steps.push(historyItems(stored.input, stored));
    id = stored.previous;
  }
  const referenced = await findItems(services, principal, needs.itemIds, loaded);
  const complete = reading(() => withHistory(wire, steps.reverse().flat(), referenced));
  return { wire: complete, needs, changed: true };
}

/** The stored output items of these ids; the decoder names those that are not there. */
async function findItems(
  services: Services,
  principal: Principal,
  ids: readonly string[],
  loaded: Loaded,
): Promise<readonly JsonObject[]> {
  if (ids.length > referencesMax)
    fail(
      'invalid_request',
      `A request may refer to ${referencesMax} stored items at most; send the items themselves.`,
      { path: 'input' },
    );
  const places = await Promise.all(
    ids.map((id) => services.store.blobs.get(itemNamespace, id, principal.walletId)),
  );
  const responseIds = new Set(
    places.flatMap((place) => (place ? [Buffer.from(place.body).toString('utf8')] : [])),
  );
  const wanted = new Set(ids);
  const found: JsonObject[] = [];
  for (const id of responseIds) {
    const stored = await loadStep(services, principal, id, loaded);
    if (!stored) continue;
    found.push(
      ...historyItems(stored.input, stored).filter((item) =>
        wanted.has(asString(item['id']) ?? ''),
      ),
    );
  }
  return found;
}

/** Keeps what the next turn will need. Never fails the answer: a full store means it cannot be continued. */
export async function keepResponse(
  services: Services,
  principal: Principal,
  request: JsonObject,
  needs: StateNeeds,
  response: JsonObject,
): Promise<void> {
  const id = asString(response['id']);
  if (id === undefined) return;
  const stored: StoredStep = {
    previous: needs.previousResponseId,
    input: inputItems(request, response),
    output: asObjects(response['output']),
  };
  try {
    const put = (space: string, blobId: string, text: string): Promise<boolean> => {
      return services.store.blobs.put({
        namespace: space,
        id: blobId,
        owner: principal.walletId,
        body: Buffer.from(text),
        expiresAtMs: services.clock.now() + keepMs,
      });
    };
    const itemIds = stored.output.flatMap((item) => asString(item['id']) ?? []);
    const kept = await Promise.all([
      put(namespace, id, JSON.stringify(stored)),
      put(frameNamespace, id, JSON.stringify({ ...response, output: [] })),
      ...itemIds.map((itemId) => put(itemNamespace, itemId, id)),
    ]);
    if (kept.includes(false)) services.log('warning', 'responses.not_kept', { response_id: id });
  } catch (error) {
    services.log('warning', 'responses.not_kept', { response_id: id, error: String(error) });
  }
}

export async function handleGetResponse(
  services: Services,
  exchange: Exchange,
  id: string,
): Promise<void> {
  const principal = await authenticateReading(services, exchange);
  const response = (await loadResponse(services, principal, id)) ?? notStored(id);
  exchange.respond(
    200,
    { 'content-type': 'application/json; charset=utf-8' },
    JSON.stringify(response),
  );
}

export async function handleInputItems(
  services: Services,
  exchange: Exchange,
  id: string,
): Promise<void> {
  const principal = await authenticateReading(services, exchange);
  const { input } = (await loadStep(services, principal, id)) ?? notStored(id);
  const data = exchange.query.get('order') === 'asc' ? input : [...input].reverse();
  const body = {
    object: 'list',
    data,
    has_more: false,
    first_id: asString(data[0]?.['id']) ?? null,
    last_id: asString(data.at(-1)?.['id']) ?? null,
  };
  exchange.respond(
    200,
    { 'content-type': 'application/json; charset=utf-8' },
    JSON.stringify(body),
  );
}

export async function handleDeleteResponse(
  services: Services,
  exchange: Exchange,
  id: string,
): Promise<void> {
  const principal = await authenticateReading(services, exchange);
  const removed = await services.store.blobs.remove(namespace, id, principal.walletId);
  if (!removed) notStored(id);
  await services.store.blobs.remove(frameNamespace, id, principal.walletId);
  exchange.respond(
    200,
    { 'content-type': 'application/json; charset=utf-8' },
    JSON.stringify({ id, object: 'response.deleted', deleted: true }),
  );
}

function notStored(id: string): never {
  return fail(
    'not_found',
    `No response with the id \`${id.slice(0, 100)}\` is stored here. Only answers of this wallet with \`store\` not false are kept, for 30 days.`,
  );
}
