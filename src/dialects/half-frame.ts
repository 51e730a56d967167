import { gatewayError, type GatewayError } from '#canonical';
import { parseJson } from '#std';

/** An event that breaks off has said something that is lost now; what does not begin like one is noise. */
export function isHalfFrame(data: string): boolean {
  return data.trimStart().startsWith('{') && !parseJson(data).ok;
}

export function halfFrameError(): GatewayError {
  return gatewayError('upstream_invalid', 'The upstream sent an event that is no JSON.');
}
