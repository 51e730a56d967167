import { gatewayError, type GatewayError } from '#canonical';
import { parseJson } from '#std';
import type { Frame } from './dialect.ts';
import { decodeUpstreamErrorValue } from './upstream-error.ts';

/** An event that breaks off has said something that is lost now; what does not begin like one is noise. */
export function isHalfFrame(data: string): boolean {
  return data.trimStart().startsWith('{') && !parseJson(data).ok;
}

/** What a frame is that is no JSON object: an error in words alone, an event that breaks off, or noise. */
export function strayFrameError({ event, data }: Frame): GatewayError | undefined {
  if (isHalfFrame(data)) return halfFrameError();
  return event === 'error' ? decodeUpstreamErrorValue(200, data) : undefined;
}

export function halfFrameError(): GatewayError {
  return gatewayError('upstream_invalid', 'The upstream sent an event that is no JSON.');
}
