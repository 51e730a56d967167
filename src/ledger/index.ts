export * from './contract.ts';
export { openLedger, type LedgerDeps } from './ledger.ts';
