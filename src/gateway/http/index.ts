export { createHttpFront } from './front.ts';
export type { HttpFront, HttpFrontStatus } from './front.ts';
export type { HttpFrontSettings, HttpRoute, RenderedError } from './core.ts';
export { ExchangeAborted, hasLeft } from './exchange.ts';
export type { AbortCause, Exchange, ResponseHeaders } from './exchange.ts';
export type { ResponseStream } from './stream.ts';
export { peerAddressHeader } from './settings.ts';
export type { CorsSettings, HttpLimits, ListenerSettings } from './settings.ts';
export type { PathParameters, RouteMatch, RoutePlace, RouteTable } from './routes.ts';
