/** One outbound call: connections, time-outs, the address guard, failures by kind. */
export { createUpstream } from './transport.ts';
export type {
  TextRequest,
  TextRequestSettings,
  Upstream,
  UpstreamRequest,
  UpstreamResponse,
  UpstreamSettings,
} from './transport.ts';
export type { BodySink } from './body.ts';
export type { UpstreamTimeouts } from './call.ts';
export { UpstreamFailure } from './failure.ts';
export type { UpstreamFailureKind } from './failure.ts';
export { createEgress } from './egress.ts';
export type { Egress, EgressSettings, FetchedMedia } from './egress.ts';
export type { MediaKind } from './media-type.ts';
export { sniffMediaType } from './media-type.ts';
export { JoinedAbort } from './joined-abort.ts';
export { checkUrl } from './guard.ts';
export { isSendableValue } from './headers.ts';
export type { EgressPolicy, Resolve, ResolvedAddress } from './guard.ts';
export type { PoolSettings } from './agents.ts';
