export * from './bill.ts';
export * from './chat.ts';
export * from './collect.ts';
export * from './custom-tools.ts';
export * from './embedding.ts';
export * from './error.ts';
export * from './state.ts';
export * from './usage.ts';
