/** What must have reached the upstream, whatever the client saw. */

import { sealedState, type Upstream } from './upstreams.ts';
import type { World } from './world.ts';

/** `mark`: how many requests the upstream had seen before. */
export function upstreamFaults(
  world: World,
  upstream: Upstream,
  mark: number,
  results: readonly string[],
  wantsState = true,
): readonly string[] {
  const seen = (world.rig.vendors[upstream.id]?.seen ?? [])
    .slice(mark)
    .map(({ body }) => JSON.stringify(body));
  const withResults = seen.filter((body) =>
    results.every((result) => body.includes(JSON.stringify(result).slice(1, -1))),
  );
  if (withResults.length === 0)
    return [`none of ${seen.length} requests brought the results to the upstream`];
  // Chat upstreams have no sealed state.
  const sealed =
    !wantsState ||
    upstream.dialect === 'openai-chat' ||
    withResults.some((body) => body.includes(sealedState));
  return sealed ? [] : ['the sealed state did not come back to the upstream'];
}
