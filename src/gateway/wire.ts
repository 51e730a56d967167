/** Step 8, first half: the request as one upstream wants it, ready to be sent. */

import { fail, type ChatRequest, type Message, type Part } from '#canonical';
import { passThroughEdits } from '#dialects';
import type { OutboundRequest, Speech } from '#providers';
import { equalsJson, spliceJson, type JsonObject } from '#std';
import { isSendableValue, JoinedAbort } from '#upstream';
import { ownWishFields, wishFields, type ChatCall, type FetchedFile } from './call.ts';
import type { Exchange } from './http/index.ts';
import { egressOf } from './offers.ts';
import type { Services } from './services.ts';
import type { Route } from './target.ts';

export type Outbound = {
  readonly request: OutboundRequest;
  /** Same dialect on both sides: the answer may pass through untouched. */
  readonly passThrough: boolean;
};

/** Encodes and authorises. `outputTokensMax` is set when the hold allows less than was asked for. */
export async function outbound(
  services: Services,
  call: ChatCall,
  route: Route,
  outputTokensMax: number | undefined,
  client: Pick<Exchange, 'signal'>,
): Promise<Outbound> {
  const passThrough = route.speech.speech.dialect === call.dialect.id;
  const body =
    (passThrough ? untouched(call, route, outputTokensMax) : undefined) ??
    (await encoded(services, call, route, outputTokensMax, client));
  const forwarded = passThrough ? forwardedHeaders(call, route.speech.speech) : {};
  return {
    request: await authorized(services, route, body, call.request.stream, forwarded),
    passThrough,
  };
}

/** The client's headers that go on with a request of its own dialect. */
export function forwardedHeaders(
  client: { header(name: string): string | undefined },
  speech: Speech,
): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const name of speech.forwards ?? []) {
    const value = client.header(name);
    if (value === undefined) continue;
    // The transport would refuse it too, and the channel would be taken for one that is out of reach.
    if (!isSendableValue(value))
      fail('invalid_request', `The header \`${name}\` may hold ASCII only.`, { path: name });
    headers[name] = value;
  }
  return headers;
}

/** A model at a channel, in one of the ways in which the channel is spoken to. */
export type Destination = Pick<Route, 'offer' | 'speech'> & {
  /** Default: the fastest of the channel's. */
  readonly baseUrl?: string;
};

/** Where the body goes and with which credential. */
export async function authorized(
  services: Services,
  { offer, speech: { speech }, baseUrl }: Destination,
  body: readonly Uint8Array[],
  stream: boolean,
  forwarded: Readonly<Record<string, string>> = {},
): Promise<OutboundRequest> {
  const { channel } = offer;
  const path = speech.path({
    operation: speech.operation,
    model: offer.name,
    stream,
    parameters: channel.parameters,
  });
  const plain: OutboundRequest = {
    url: path.startsWith('https://')
      ? path
      : (baseUrl ?? services.upstream.fastest(channel.baseUrls)) + path,
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: stream ? 'text/event-stream' : 'application/json',
      ...speech.headers,
      ...forwarded,
    },
    body,
  };
  return channel.provider.authorize(
    plain,
    { secret: channel.secret, parameters: channel.parameters },
    {
      nowMs: services.clock.now(),
      monotonicMs: services.clock.monotonic(),
      cache: services.tokenCache,
      fetchJson: (request) => services.upstream.fetchText(request, egressOf(channel)),
    },
  );
}

/** The client's own bytes with the few necessary edits; `undefined` when a quirk asks for more. */
function untouched(
  call: ChatCall,
  route: Route,
  outputTokensMax: number | undefined,
): readonly Uint8Array[] | undefined {
  const { quirks } = route.speech;
  if (!call.scan) return undefined;
  if (hasFields(quirks) && quirksMatter(call, route, outputTokensMax)) return undefined;
  const edits = passThroughEdits(call.request.dialect, call.wire, call.request, {
    model: route.offer.name,
    outputTokensMax,
    drop: route.speech.speech.forwardsWishes === true ? ownWishFields : wishFields,
    encryptedReasoning:
      quirks['encryptedReasoning'] === undefined
        ? route.offer.model.reasoning
        : quirks['encryptedReasoning'] === true,
    streamUsage: quirks['streamUsage'] !== false,
  });
  return edits.length === 0 ? [call.body] : spliceJson(call.body, call.scan, edits);
}

const noQuirks = {};

function hasFields(object: object): boolean {
  for (const _key in object) return true;
  return false;
}

/** Whether the vendor's or model's deviations change anything in this very request. */
function quirksMatter(call: ChatCall, route: Route, outputTokensMax: number | undefined): boolean {
  const { encode } = call.dialect.request;
  const request =
    outputTokensMax === undefined ? call.request : { ...call.request, outputTokensMax };
  const particular = encode(request, route.speech.quirks).value;
  // Most clients of a compatible vendor already write what it wants.
  if (saysTheSame(particular, call.wire)) return false;
  return !equalsJson(particular, encode(request, noQuirks).value);
}

/** Equal but for the wish for usage, which is put into the client's bytes where it is missing. */
function saysTheSame(particular: JsonObject, wire: JsonObject): boolean {
  const wanted = particular['stream_options'];
  if (wanted === undefined) return equalsJson(particular, wire);
  return equalsJson(particular, { ...wire, stream_options: wanted });
}

async function encoded(
  services: Services,
  call: ChatCall,
  route: Route,
  outputTokensMax: number | undefined,
  client: Pick<Exchange, 'signal'>,
): Promise<readonly Uint8Array[]> {
  const { speech, quirks } = route.speech;
  const dialect = services.dialects[speech.dialect as keyof Services['dialects']];
  const limited =
    outputTokensMax === undefined ? call.request : { ...call.request, outputTokensMax };
  // Usage is always asked for: it is what the bill is made from.
  const renamed: ChatRequest = await services.stateMemory.recall(
    call.owner,
    { ...limited, model: route.offer.name, streamUsage: true },
    dialect.id,
  );
  const urls = dialect.request.urlsToInline(renamed, quirks);
  const complete =
    urls.length === 0
      ? renamed
      : await inlineMedia(services, renamed, urls, call.media, client.signal);
  const body = {
    ...dialect.request.encode(complete, quirks).value,
    ...forwardedWishes(call, route),
  };
  return [Buffer.from(JSON.stringify(body))];
}

/** A vendor that routes by itself gets its clients' wishes back. */
function forwardedWishes(call: ChatCall, route: Route): JsonObject {
  if (
    route.speech.speech.forwardsWishes !== true ||
    route.speech.speech.dialect !== call.dialect.id
  )
    return {};
  return Object.fromEntries(
    wishFields
      .filter((field) => !ownWishFields.includes(field) && call.wire[field] !== undefined)
      .map((field) => [field, call.wire[field]]),
  );
}

/** The most that is fetched for one request: files, their bytes together, and the time for all. */
const mediaFilesMax = 100;
const mediaBytesMax = 64 * 2 ** 20;
const mediaMs = 60_000;
const mediaAtOnce = 4;

/** Adds to `fetched` those of the files that it lacks. */
async function fetchAll(
  services: Services,
  urls: readonly string[],
  fetched: Map<string, FetchedFile>,
  client: AbortSignal,
): Promise<void> {
  if (urls.length > mediaFilesMax)
    fail('invalid_request', `A request may name ${mediaFilesMax} URLs to be fetched at most.`);
  const left = urls.filter((url) => !fetched.has(url));
  if (left.length === 0) return;
  const stop = new JoinedAbort([client], mediaMs);
  let byteCount = 0;
  for (const { data } of fetched.values()) byteCount += (data.length / 4) * 3;
  const fetchNext = async (): Promise<void> => {
    for (let url = left.shift(); url !== undefined; url = left.shift()) {
      const { bytes, mimeType } = await services.egress.fetchMedia(url, { signal: stop.signal });
      byteCount += bytes.length;
      if (byteCount > mediaBytesMax)
        fail('invalid_request', `The files at the URLs exceed ${mediaBytesMax} bytes together.`);
      fetched.set(url, { data: Buffer.from(bytes).toString('base64'), mimeType });
    }
  };
  try {
    await Promise.all(Array.from({ length: mediaAtOnce }, fetchNext));
  } finally {
    // One that cannot be had is enough: nobody waits for the others.
    left.length = 0;
    stop.abort();
  }
}

/** Fetches what the vendor will not fetch itself, under the guard, and puts the bytes in. */
async function inlineMedia(
  services: Services,
  request: ChatRequest,
  urls: readonly string[],
  fetched: Map<string, FetchedFile>,
  client: AbortSignal,
): Promise<ChatRequest> {
  await fetchAll(services, urls, fetched, client);
  const inline = (part: Part): Part => {
    if (part.kind === 'tool-result')
      return {
        ...part,
        parts: part.parts.map((inner) => inline(inner) as (typeof part.parts)[number]),
      };
    if (part.kind !== 'media' || part.source.kind !== 'url') return part;
    const media = fetched.get(part.source.url);
    return media
      ? { ...part, mimeType: media.mimeType, source: { kind: 'data', data: media.data } }
      : part;
  };
  const messages: Message[] = request.messages.map((message) => ({
    ...message,
    parts: message.parts.map(inline),
  }));
  return { ...request, messages };
}
