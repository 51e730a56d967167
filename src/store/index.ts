export * from './pages.ts';
export * from './contract.ts';
export * from './engine.ts';
export * from './open.ts';
