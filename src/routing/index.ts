export type * from './contract.ts';
export { createRouter } from './router.ts';
export { defaultRoutingSettings, type RoutingSettings, type ScoreWeights } from './settings.ts';
export {
  rateLimitFamilies,
  readRateLimitHeaders,
  readRetryAfter,
  readRetryDelayText,
  type HeaderLookup,
  type RateLimitFamily,
  type RateLimitFamilyName,
} from './rate-limit-headers.ts';
