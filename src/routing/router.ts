/** The router: a snapshot of channels, and plans over it. */

import type {
  ChannelConfig,
  LaneStatus,
  Plan,
  RouteRequest,
  Router,
  RouterOptions,
  RouterStatus,
} from './contract.ts';
import type { Lane } from './lane.ts';
import { RoutePlan } from './plan.ts';
import { RoutingState } from './state.ts';

/**
 * Makes a router. It owns no timer and no socket; everything it learns it learns through the
 * feedback methods of the attempts it hands out.
 *
 * @throws RangeError from `update` when channel ids repeat or a limit or weight makes no sense
 */
export function createRouter(options: RouterOptions): Router {
  const state = new RoutingState(options);
  return {
    update(channels: readonly ChannelConfig[]): void {
      state.update(channels);
    },
    plan(request: RouteRequest): Plan {
      return new RoutePlan(state, request);
    },
    status(): RouterStatus {
      return statusOf(state);
    },
  };
}

function statusOf(state: RoutingState): RouterStatus {
  const nowMs = state.nowMs();
  const lanes: LaneStatus[] = [];
  for (const channel of state.channels.values()) {
    for (const lane of channel.lanes.values()) lanes.push(laneStatus(lane, nowMs));
  }
  return {
    channels: [...state.channels.keys()],
    lanes,
    waiting: state.line.size,
    sessions: state.affinity.size,
    retry_budget: state.budget.level,
    users: state.fairShare.size,
  };
}

function stateOf(lane: Lane, nowMs: number): LaneStatus['state'] {
  const { channel } = lane;
  if (!channel.isEnabled) return 'disabled';
  if (channel.offReason !== undefined) return 'off';
  const breakers = [lane.health.state(nowMs), channel.health.state(nowMs)];
  if (breakers.includes('open')) return 'open';
  if (breakers.includes('half-open')) return 'half-open';
  return lane.latency.samples < channel.settings.newLaneSamples ? 'new' : 'ok';
}

function laneStatus(lane: Lane, nowMs: number): LaneStatus {
  const { channel, latency } = lane;
  const openUntilMs = Math.max(
    lane.health.isOpen ? lane.health.openUntilMs : 0,
    channel.health.isOpen ? channel.health.openUntilMs : 0,
    channel.offReason === undefined ? 0 : channel.offUntilMs,
  );
  return {
    channel: channel.config.id,
    model: lane.model,
    state: stateOf(lane, nowMs),
    off_reason: channel.offReason ?? null,
    open_until_ms: openUntilMs === 0 ? null : Math.round(openUntilMs),
    error_level: Math.max(lane.health.level(nowMs), channel.health.level(nowMs)),
    first_content_ms: Math.round(latency.expectedMs(nowMs)),
    deviation_ms: Math.round(latency.deviationMs),
    inter_token_ms: latency.interTokenMs ?? null,
    samples: latency.samples,
    active: lane.active,
    concurrency_limit: Math.floor(lane.capacity),
    buckets: lane.group.buckets.flatMap((bucket) => {
      bucket.refill(nowMs);
      if (bucket.source === 'unknown') return [];
      return {
        limit: bucket.name,
        level: Math.floor(bucket.level),
        capacity: Math.round(bucket.capacity),
        per_minute: Math.round(bucket.ratePerMs * 60_000),
        source: bucket.source,
      };
    }),
  };
}
