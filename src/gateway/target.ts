/** Steps 4 and 6: which model, which of its offers can say the request, and what each may cost at most. */

import { allowsModel, type Principal } from '#access';
import { fail, type ChatRequest, type Loss } from '#canonical';
import { type Model, type Price } from '#catalog';
import { nativeOnlyReason, openaiCompletions, type Quirks } from '#dialects';
import type { Operation } from '#providers';
import {
  estimateInputTokens,
  extrasOf,
  quotesOf,
  requestBound,
  type Extras,
  type PriceSnapshot,
} from '#metering';
import { asCount, rememberByObject, type NanoUsd } from '#std';
import type { ChatCall, Wishes } from './call.ts';
import {
  speechChoices,
  versionOf,
  type Offer,
  type OfferCandidate,
  type Snapshot,
  type SpeechChoice,
} from './offers.ts';
import type { Services } from './services.ts';

/** An offer that can serve this request, with the way to speak to it and its frozen price. */
export type Route = {
  readonly candidate: OfferCandidate;
  readonly offer: Offer;
  readonly speech: SpeechChoice;
  readonly price: PriceSnapshot;
  /** The most the whole request can cost here. */
  readonly bound: NanoUsd;
  readonly losses: readonly Loss[];
};

export type Target = {
  /** Dearer units that the request may be charged in: media, long cache writes, searches, a service tier. */
  readonly extras: Extras;
  readonly model: Model;
  readonly routes: ReadonlyMap<OfferCandidate, Route>;
  readonly candidates: readonly OfferCandidate[];
  /** Estimate, for rate limits and for streams without usage. */
  readonly inputTokens: number;
  /** With margin: what the hold covers. */
  readonly inputTokensBound: number;
  readonly outputTokensMax: number;
  /** Answers wanted at once: they share the bound. */
  readonly choiceCount: number;
};

/** Where neither client nor catalog says how long an answer may get. */
const outputTokensFallback = 32_768;

export function findModel(snapshot: Snapshot, principal: Principal, name: string): Model {
  const model = snapshot.find(name);
  if (!model) {
    const nearest = snapshot.catalog.nearest(name, 3);
    const hint =
      nearest.length > 0 ? ` Did you mean ${nearest.map((near) => `\`${near}\``).join(', ')}?` : '';
    fail(
      'model_not_found',
      `The model \`${clip(name)}\` does not exist.${hint} GET /v1/models lists what is available.`,
      { path: 'model', details: { nearest } },
    );
  }
  if (
    !allowsModel(principal.limits.models, model.id) &&
    !allowsModel(principal.limits.models, name)
  ) {
    fail(
      'model_not_allowed',
      `This key may not use \`${clip(name)}\`. Ask the owner of the key to allow it.`,
      { path: 'model' },
    );
  }
  return model;
}

function clip(name: string): string {
  return name.length > 100 ? `${name.slice(0, 100)}…` : name;
}

/** Candidates of the model and its fallbacks, each checked for what it can say and what it costs. */
export function resolve(
  services: Services,
  principal: Principal,
  call: ChatCall,
  operation: Operation,
): Target {
  const { request, wishes } = call;
  const snapshot = services.snapshot();
  const model = findModel(snapshot, principal, request.model);
  const nowMs = services.clock.now();
  const inputTokens = estimateInputTokens(request, services.random);
  const extras = extrasOf(request);
  const candidates = allCandidates(snapshot, principal, model, wishes, operation, nowMs);
  const outputTokensMax = outputLimit(request, candidates);
  const inputTokensBound = requestBound(request, inputTokens);
  const bound = { ...extras, inputTokens: inputTokensBound, outputTokens: outputTokensMax };
  const boundOf = quotesOf(bound);
  const kept: OfferCandidate[] = [];
  const routes = new Map<OfferCandidate, Route>();
  const refusals: Loss[] = [];
  let withoutPrice = false;
  for (const candidate of candidates) {
    const offer = asAsked(candidate.offer, request.model);
    const { price } = candidate;
    if (!price) withoutPrice = true;
    const way = price ? chooseWay(services, call, offer, operation, refusals) : undefined;
    if (!way || !price) continue;
    const priced = snapshotPrice(offer, price, principal, nowMs);
    routes.set(candidate, { candidate, offer, ...way, price: priced, bound: boundOf(priced) });
    kept.push(candidate);
  }
  if (
    kept.length > 0 &&
    kept.every((candidate) => inputTokens > (candidate.contextTokens ?? Number.POSITIVE_INFINITY))
  )
    tooLong(model, inputTokens);
  if (kept.length === 0) refuse(model, candidates.length, refusals, withoutPrice, wishes.strict);
  return {
    model,
    routes,
    candidates: kept.length === candidates.length ? candidates : kept,
    extras,
    inputTokens,
    inputTokensBound,
    outputTokensMax,
    choiceCount: answersMade(request),
  };
}

/** By alias; a model has few. */
const aliasOffers = rememberByObject((_offer: Offer) => new Map<string, Offer>());

/** A dated or floating name that the vendor itself knows goes out as the client wrote it. */
function asAsked(offer: Offer, name: string): Offer {
  const { model } = offer;
  if (name === model.id || offer.name !== model.id || model.aliases?.includes(name) !== true)
    return offer;
  const known = aliasOffers(offer);
  let renamed = known.get(name);
  if (renamed === undefined) {
    renamed = { ...offer, name };
    known.set(name, renamed);
  }
  return renamed;
}

function tooLong(model: Model, inputTokens: number): never {
  fail(
    'context_length_exceeded',
    `The request has about ${inputTokens} tokens; \`${model.id}\` takes ${model.context_tokens ?? 0} at most. Shorten it, or choose a model with a larger context.`,
  );
}

/** Where the client sets no limit, any of the models may answer to its own. */
function outputLimit(request: ChatRequest, candidates: readonly OfferCandidate[]): number {
  let most = request.outputTokensMax ?? 0;
  if (request.outputTokensMax === undefined)
    for (const { offer } of candidates)
      most = Math.max(most, offer.model.output_tokens || outputTokensFallback);
  return Math.min(most * answersMade(request), Number.MAX_SAFE_INTEGER);
}

/** Answers that are made and billed: each prompt of a legacy completion has its own, and of `best_of` only the best are told. */
function answersMade({ dialect, choiceCount, extensions, messages }: ChatRequest): number {
  const each = Math.max(choiceCount ?? 1, asCount(extensions['best_of']) ?? 1);
  return dialect === openaiCompletions.id ? each * messages.length : each;
}

function allCandidates(
  snapshot: Snapshot,
  principal: Principal,
  model: Model,
  wishes: Wishes,
  operation: Operation,
  nowMs: number,
): readonly OfferCandidate[] {
  const first = snapshot.candidatesOf(model, operation, nowMs);
  const fallbacks = wishes.fallbackModels
    .map((name) => snapshot.find(name))
    .filter(
      (other) =>
        other !== undefined &&
        other.id !== model.id &&
        allowsModel(principal.limits.models, other.id),
    );
  if (fallbacks.length === 0) return first;
  const all = [...first];
  for (const [index, other] of fallbacks.entries()) {
    if (!other) continue;
    for (const candidate of snapshot.candidatesOf(other, operation, nowMs))
      all.push({ ...candidate, tier: index + 1 });
  }
  return all;
}

/** The first way of speaking that can say all that matters; what the others could not is added to `refusals`. */
function chooseWay(
  services: Services,
  call: ChatCall,
  offer: Offer,
  operation: Operation,
  refusals: Loss[],
): { readonly speech: SpeechChoice; readonly losses: readonly Loss[] } | undefined {
  for (const speech of speechChoices(
    offer,
    operation,
    call.request.dialect,
    call.request.tools.length > 0,
  )) {
    const losses = lossesAt(services, call, speech);
    const grave = losses.filter((loss) => loss.changesMeaning || call.wishes.strict);
    if (grave.length === 0) return { speech, losses };
    refusals.push(...grave);
  }
  return undefined;
}

/** What this way of speaking cannot say. Equal dialects without quirks say everything. */
function lossesAt(services: Services, call: ChatCall, choice: SpeechChoice): readonly Loss[] {
  if (choice.speech.dialect === call.dialect.id) return [];
  const reason =
    call.dialect.id === openaiCompletions.id ? nativeOnlyReason(call.request) : undefined;
  if (reason !== undefined) return [{ path: 'prompt', reason, changesMeaning: true }];
  return encodingLosses(services, call.request, choice);
}

const quirksText = rememberByObject((quirks: Quirks) => JSON.stringify(quirks));
/** By dialect and quirks. */
const knownLosses = rememberByObject((_request: ChatRequest) => new Map<string, readonly Loss[]>());

/** A request is encoded once for all channels that are spoken to alike: an operator may have hundreds of them. */
export function encodingLosses(
  { dialects }: Pick<Services, 'dialects'>,
  request: ChatRequest,
  { speech, quirks }: SpeechChoice,
): readonly Loss[] {
  const known = knownLosses(request);
  const key = `${speech.dialect} ${quirksText(quirks)}`;
  let losses = known.get(key);
  if (losses === undefined) {
    const dialect = dialects[speech.dialect as keyof Services['dialects']];
    losses = dialect.request.encode(request, quirks).losses;
    known.set(key, losses);
  }
  return losses;
}

export function snapshotPrice(
  offer: Offer,
  price: Price,
  principal: Principal,
  atMs: number,
): PriceSnapshot {
  const factorMillionths = principal.limits.price_factor_millionths ?? 1_000_000;
  const factor = factorMillionths === 1_000_000 ? '' : `*${factorMillionths}`;
  return {
    version: `${offer.channel.id}/${offer.name}@${versionOf(price)}${factor}`,
    price,
    atMs,
    factorMillionths,
    openTier: offer.channel.definition.default_service_tier,
  };
}

export function refuse(
  model: Model,
  candidateCount: number,
  refusals: readonly Loss[],
  withoutPrice: boolean,
  strict: boolean,
): never {
  const first = refusals[0];
  if (first) {
    const all = [...new Set(refusals.map((loss) => `\`${loss.path}\`: ${loss.reason}`))]
      .slice(0, 5)
      .join('; ');
    const code = strict && !first.changesMeaning ? 'lossy_translation' : 'unsupported_parameter';
    fail(
      code,
      `\`${model.id}\` cannot be asked this way: ${all}. Leave the field out, or choose another model.`,
      { path: first.path },
    );
  }
  if (withoutPrice) {
    fail(
      'model_without_price',
      `\`${model.id}\` has no price, so it is not served: a wrong charge would be worse. Set one under \`channels[].models.${model.id}.prices\` in the configuration (or \`free\`).`,
      { path: 'model' },
    );
  }
  if (candidateCount === 0) {
    fail(
      'no_channel',
      `No channel offers \`${model.id}\`. Add one: set the vendor's key in the environment or run \`manifold channel add\`.`,
    );
  }
  return fail('no_channel', `No channel can serve \`${model.id}\` now.`);
}
