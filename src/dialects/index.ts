export type * from './dialect.ts';
export * from './pass-through.ts';
export * from './gemini-generate/index.ts';
