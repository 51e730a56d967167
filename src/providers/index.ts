export * from './channel.ts';
export type * from './provider.ts';
