export * from './contract.ts';
export type { LookUpAnswer } from './recover-contract.ts';
export { openLedger, type LedgerDeps } from './ledger.ts';
