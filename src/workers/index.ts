/** Several processes that serve as one: the owner of the books, and workers that ask it. */
export type { Load, OwnerCalls, WorkerCalls, WorkerSetup } from './contract.ts';
export { Link } from './link.ts';
export { ServedWorker, type Owned } from './owner.ts';
export { createDistantShared, type DistantShared } from './shared.ts';
export { createHandOver } from './hand-over.ts';
