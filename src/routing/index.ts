export type * from './contract.ts';
export { defaultRoutingSettings, type RoutingSettings, type ScoreWeights } from './settings.ts';
