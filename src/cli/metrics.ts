/** `GET /metrics` of a running server: for whoever scrapes on the same machine, or has the operator's token. */

import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, RequestListener } from 'node:http';
import type { LaneStatus } from '#routing';
import type { GaugeReading, MetricOptions, Registry } from '#telemetry';
import type { Load } from '#workers';
import type { OwnRuntime } from './runtime.ts';

export const metricsPath = '/metrics';

export function createMetricsListener(registry: Registry, token: string): RequestListener {
  return (request, response) => {
    if (request.method !== 'GET') {
      response.writeHead(405, { allow: 'GET' }).end();
    } else if (isLocal(request) || isToken(request.headers.authorization, token)) {
      const type = 'text/plain; version=0.0.4; charset=utf-8';
      response.writeHead(200, { 'content-type': type }).end(registry.render());
    } else {
      const message =
        'Send `Authorization: Bearer <operator token>`, or ask from the machine itself.';
      response
        .writeHead(401, { 'content-type': 'application/json; charset=utf-8' })
        .end(JSON.stringify({ error: { code: 'unauthorized', message } }));
    }
  };
}

/** A reverse proxy on this machine passes strangers on, and says so. */
function isLocal({ socket, headers }: IncomingMessage): boolean {
  if (headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined) return false;
  return /^(?:127\.|::1$|::ffff:127\.)/.test(socket.remoteAddress ?? '');
}

function isToken(header: string | undefined, token: string): boolean {
  const given = Buffer.from(header?.replace(/^bearer /i, '') ?? '');
  const wanted = Buffer.from(token);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

/** What is read only when somebody asks: what all processes carry, and the router's lanes. */
export function registerGauges({ registry, owned }: OwnRuntime, load: () => Load): void {
  const { router } = owned;
  const one = (name: string, help: string, read: () => number): void =>
    registry.gauge({ name, help, labels: [] }, () => [{ values: [], value: read() }]);
  one('manifold_connections', 'Open client connections.', () => load().connections);
  one('manifold_held_bytes', 'Bytes of request bodies held.', () => load().heldBytes);
  one('manifold_streams_active', 'Streams open to clients.', () => load().streams);
  one('manifold_upstream_calls_active', 'Calls to upstreams.', () => load().upstreamCalls);
  one('manifold_routing_waiting', 'Requests waiting for room.', () => router.status().waiting);
  one(
    'manifold_routing_retry_budget',
    'Retries that may be made now.',
    () => router.status().retry_budget,
  );
  registerLanes(registry, () => router.status().lanes);
}

const states = ['ok', 'new', 'half-open', 'open', 'off', 'disabled'] as const;

function registerLanes(registry: Registry, lanes: () => readonly LaneStatus[]): void {
  const labels = ['channel', 'model'];
  const each = (name: string, help: string, read: (lane: LaneStatus) => number): void =>
    registry.gauge({ name, help, labels }, () => lanes().map((lane) => at(lane, read(lane))));
  const stateMetric: MetricOptions = {
    name: 'manifold_lane_state',
    help: 'State of a model at a channel: 1 for the state it is in.',
    labels: [...labels, 'state'],
    seriesMax: 6_000,
  };
  registry.gauge(stateMetric, () =>
    lanes().flatMap((lane) =>
      states.map((state) => ({
        values: [lane.channel, lane.model, state],
        value: lane.state === state ? 1 : 0,
      })),
    ),
  );
  each('manifold_lane_active', 'Requests in flight.', (lane) => lane.active);
  each(
    'manifold_lane_concurrency_limit',
    'Most requests in flight.',
    (lane) => lane.concurrency_limit,
  );
  each(
    'manifold_lane_error_level',
    'Share of late errors, from 0 to 1.',
    (lane) => lane.error_level,
  );
  each(
    'manifold_lane_first_content_seconds',
    'Expected time to first content.',
    (lane) => lane.first_content_ms / 1_000,
  );
  registry.gauge(
    {
      name: 'manifold_lane_bucket_level',
      help: 'What is left of an upstream limit, in its units.',
      labels: [...labels, 'limit'],
    },
    () =>
      lanes().flatMap((lane) =>
        lane.buckets.map(({ limit, level }) => ({
          values: [lane.channel, lane.model, limit],
          value: level,
        })),
      ),
  );
}

function at(lane: LaneStatus, value: number): GaugeReading {
  return { values: [lane.channel, lane.model], value };
}
