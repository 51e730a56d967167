export { createGateway, type GatewayOptions } from './server.ts';
export { Heartbeats } from './client-stream.ts';
export { Drains } from './drains.ts';
export type { HttpFront, HttpLimits, ListenerSettings } from './http/index.ts';
export {
  buildSnapshot,
  routingChannels,
  type Channel,
  type Offer,
  type Snapshot,
} from './offers.ts';
export type { Charging, GatewaySettings, Services, Shared } from './services.ts';
export { testChannel, type ChannelTestResult } from './channel-test.ts';
export { Transcripts } from './idempotency.ts';
export { peerAddressHeader } from './http/index.ts';
export { StateMemory, type KeptState } from './state-memory.ts';
export { gatewayRoutes } from './routes.ts';
