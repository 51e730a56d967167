export * from './json.ts';
export * from './money.ts';
export * from './clock.ts';
export * from './id.ts';
