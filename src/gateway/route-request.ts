/** Step 5: the request as routing sees it. */

import { hash } from 'node:crypto';
import type { Principal } from '#access';
import { fail } from '#canonical';
import type { Hints } from '#routing';
import type { ChatCall } from './call.ts';
import type { FallbackRequest } from './fallback.ts';
import type { Snapshot } from './offers.ts';
import type { Services } from './services.ts';
import type { Target } from './target.ts';

/** Longer names of sessions are remembered by their hash. */
const sessionNameMax = 128;
/** What a typical answer has; only ranks channels. */
const outputTokensTypical = 600;

/** A session is remembered for long: a name of any length must not be. */
function sessionKeyOf({ keyId }: Principal, name: string): string {
  return `${keyId}:${name.length > sessionNameMax ? hash('sha256', name) : name}`;
}

export function routeRequest(
  services: Services,
  principal: Principal,
  call: ChatCall,
  target: Target,
): FallbackRequest {
  const { wishes } = call;
  return {
    model: target.model.id,
    candidates: target.candidates,
    inputTokens: target.inputTokens,
    outputTokensMaximum: target.outputTokensMax,
    outputTokensExpected: Math.min(target.outputTokensMax, outputTokensTypical),
    class: wishes.class,
    userId: principal.walletId,
    ...(wishes.sessionKey === undefined
      ? {}
      : { sessionKey: sessionKeyOf(principal, wishes.sessionKey) }),
    hints: knownHints(services.snapshot(), wishes.hints, target),
    deadlineMs: services.clock.now() + services.settings.requestMs,
  };
}

/**
 * Hints may name a vendor's own sub-providers (OpenRouter's clients do): names that are no channel,
 * provider or tag here are left to a vendor that understands them. If nobody does, `only` is a refusal.
 */
function knownHints(snapshot: Snapshot, hints: Hints, target: Target): Hints {
  if (!hints.only && !hints.order && !hints.ignore) return hints;
  const names = new Set<string>();
  for (const channel of snapshot.channels.values()) {
    for (const name of [channel.id, channel.provider.id, ...(channel.definition.tags ?? [])])
      names.add(name);
  }
  const known = (list: readonly string[] | undefined): readonly string[] =>
    (list ?? []).filter((name) => names.has(name));
  const {
    only: wantedOnly,
    order: wantedOrder,
    ignore: wantedIgnore,
    allowFallbacks,
    ...rest
  } = hints;
  const only = known(wantedOnly);
  const order = known(wantedOrder);
  const ignore = known(wantedIgnore);
  const foreign = (wantedOnly && only.length === 0) || (wantedOrder && order.length === 0);
  const forwarding = [...target.routes.values()]
    .filter((route) => route.speech.speech.forwardsWishes === true)
    .map((route) => route.offer.channel.id);
  if (foreign && wantedOnly && forwarding.length === 0) {
    fail(
      'no_channel',
      `\`provider.only\` names no channel of this gateway. There are ${[...names].slice(0, 20).join(', ')}.`,
      { path: 'provider.only' },
    );
  }
  const restricted = only.length > 0 ? only : foreign && wantedOnly ? forwarding : undefined;
  return {
    ...rest,
    ...(restricted ? { only: restricted } : {}),
    ...(order.length > 0 ? { order } : {}),
    ...(ignore.length > 0 ? { ignore } : {}),
    ...(allowFallbacks === undefined || (foreign && order.length === 0) ? {} : { allowFallbacks }),
  };
}
