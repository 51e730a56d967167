export * from './estimate.ts';
export * from './quote.ts';
export * from './rate.ts';
