/** Step 6: what is held before the first call, and which routes that pays for. */

import { fail } from '#canonical';
import { affordableOutputTokens, dearest, quote } from '#metering';
import { formatUsd, type NanoUsd } from '#std';
import type { Route, Target } from './target.ts';

/** The price of the first step of a hold: everything, or a slice where stopping stops the vendor's meter. */
export type HoldSize = {
  readonly amount: NanoUsd;
  readonly minimum: NanoUsd;
  readonly outputTokens: number;
  /** Whether the hold grows while the answer streams. */
  readonly sliced: boolean;
};

const sliceTokens = 2_048;
/** Vendors may think unseen: what cannot be counted while it streams is held in larger steps. */
const sliceTokensReasoning = 16_384;
const outputTokensLeast = 16;

/** The shortest answer worth asking for; of several, each has a token. */
function leastOutput({ choiceCount, outputTokensMax }: Target): number {
  return Math.min(Math.max(outputTokensLeast, choiceCount), outputTokensMax);
}

/** `inFull` holds for the whole answer at once, for keys whose answers must not be cut short. */
export function holdSize(target: Target, stream: boolean, inFull = false): HoldSize {
  const routes = [...target.routes.values()];
  const slice = routes.some((route) => route.offer.model.reasoning)
    ? sliceTokensReasoning
    : sliceTokens;
  const sliced = stream && !inFull && target.outputTokensMax > slice && routes.every(stopsBilling);
  const outputTokens = sliced ? slice : target.outputTokensMax;
  const at = (tokens: number): NanoUsd => boundAt(target, tokens);
  return {
    amount: at(outputTokens),
    minimum: at(Math.min(leastOutput(target), outputTokens)),
    outputTokens,
    sliced,
  };
}

/** The most that the request can cost with so many output tokens, at the dearest route. */
export function boundAt(target: Target, outputTokens: number): NanoUsd {
  const { extras, inputTokensBound: inputTokens, outputTokensMax } = target;
  return dearest(
    Array.from(target.routes.values(), (route) =>
      outputTokens === outputTokensMax
        ? route.bound
        : quote(route.price, { ...extras, inputTokens, outputTokens }),
    ),
  );
}

export function stopsBilling(route: Route): boolean {
  return (
    (route.offer.channel.definition.abort_stops_billing ??
      route.offer.channel.provider.facts.abortStopsBilling) === 'yes'
  );
}

/** The output limit that a smaller hold pays for, at the dearest route. */
export function affordableOutput(target: Target, held: NanoUsd): number {
  let least = target.outputTokensMax;
  for (const route of target.routes.values()) {
    least = Math.min(
      least,
      affordableOutputTokens(
        route.price,
        target.inputTokensBound,
        held,
        target.outputTokensMax,
        target.extras,
      ),
    );
  }
  return least;
}

/** The routes whose shortest answer (`inFull`: whose longest) costs at most `amount`; `undefined` when there is none. */
export function affordableRoutes(
  target: Target,
  amount: NanoUsd,
  inFull = false,
): Target | undefined {
  const outputTokens = inFull ? target.outputTokensMax : leastOutput(target);
  const kept = [...target.routes].filter(
    ([, route]) =>
      quote(route.price, {
        ...target.extras,
        inputTokens: target.inputTokensBound,
        outputTokens,
      }) <= amount,
  );
  if (kept.length === 0) return undefined;
  if (kept.length === target.routes.size) return target;
  const routes = new Map(kept);
  return {
    ...target,
    routes,
    candidates: target.candidates.filter((candidate) => routes.has(candidate)),
  };
}

/** The routes that `max_cost` pays for. Throws GatewayFailure when there is none. */
export function withinCostCap(target: Target, cap: NanoUsd | undefined): Target {
  if (cap === undefined) return target;
  const affordable = affordableRoutes(target, cap);
  if (affordable) return affordable;
  return fail(
    'cost_cap_exceeded',
    `\`max_cost\` of ${formatUsd(cap)} USD does not pay for what this request costs before its answer: input, media, searches.`,
    { path: 'max_cost', details: { max_cost_usd: formatUsd(cap) } },
  );
}
