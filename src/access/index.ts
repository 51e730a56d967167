export * from './access.ts';
export * from './address.ts';
export * from './key.ts';
export * from './limits.ts';
export * from './rate-limit.ts';
