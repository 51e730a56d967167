import type { ChatRequest, Encoded, MediaPart } from '#canonical';
import { compact, saidFields, type JsonObject } from '#std';
import type { Quirks } from '../dialect.ts';
import { encodeConfig } from './config-encode.ts';
import { encodeContents, lose, type Encoding } from './contents-encode.ts';
import { geminiId } from './fields.ts';
import { isYouTube } from './media.ts';
import { readQuirks } from './quirks.ts';
import { encodeTools } from './tools-encode.ts';

/** The body of `:generateContent` and `:streamGenerateContent`; the model and the form stand in the path. */
export function encodeRequest(request: ChatRequest, quirks: Quirks): Encoded<JsonObject> {
  const own = request.dialect === geminiId;
  const encoding: Encoding = { quirks: readQuirks(quirks), own, forClient: false, losses: [] };
  // Before the fields that are built here: those of the extensions that only Gemini has.
  const extensions = own
    ? { ...request.extensions, generationConfig: undefined, toolConfig: undefined }
    : {};
  const value = compact({
    ...extensions,
    ...encodeContents(request, encoding),
    ...encodeTools(request, encoding),
    generationConfig: encodeConfig(request, encoding),
    serviceTier: encodeServiceTier(request, encoding),
  });
  reportLosses(request, encoding);
  return { value, losses: encoding.losses };
}

const tiers: { readonly [tier: string]: string } = {
  default: 'standard',
  standard: 'standard',
  standard_only: 'standard',
  flex: 'flex',
  priority: 'priority',
};

function encodeServiceTier({ serviceTier }: ChatRequest, encoding: Encoding): string | undefined {
  if (serviceTier === undefined || encoding.own) return serviceTier;
  if (serviceTier === 'auto') return undefined;
  const tier = Object.hasOwn(tiers, serviceTier) ? tiers[serviceTier] : undefined;
  if (tier === undefined) lose(encoding, 'service_tier', `the service tier ${serviceTier}`, false);
  return tier;
}

/** Fields of other dialects that have no place here. */
function reportLosses(request: ChatRequest, encoding: Encoding): void {
  const dropped: { readonly [path: string]: unknown } = {
    logit_bias: request.logitBias,
    verbosity: request.verbosity,
    user: request.endUserId,
    metadata: request.metadata,
    prompt_cache_key: request.promptCacheKey,
    store: request.store === true ? true : undefined,
  };
  for (const [path, value] of Object.entries(dropped)) {
    if (value !== undefined) lose(encoding, path, 'unknown to Gemini', false);
  }
  if (encoding.own) return;
  for (const key of saidFields(request.extensions)) lose(encoding, key, 'unknown to Gemini', false);
}

/**
 * http(s) addresses of media that Gemini would not fetch. Its own files, Cloud Storage and YouTube
 * it reads itself.
 */
export function urlsToInline(request: ChatRequest, quirks: Quirks): readonly string[] {
  if (readQuirks(quirks).fetchesUrls) return [];
  const urls = new Set<string>();
  for (const part of request.messages.flatMap(({ parts }) => parts)) {
    for (const inner of part.kind === 'tool-result' ? part.parts : [part]) {
      if (inner.kind === 'media') addUrl(urls, inner);
    }
  }
  return [...urls];
}

function addUrl(urls: Set<string>, { source }: MediaPart): void {
  if (source.kind === 'url' && /^https?:/i.test(source.url) && !isYouTube(source.url))
    urls.add(source.url);
}
