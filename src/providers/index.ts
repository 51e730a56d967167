import { compatibleProviders } from './compatible.ts';
import type { Provider } from './provider.ts';
import { providers } from './registry.gen.ts';

export * from './channel.ts';
export type * from './provider.ts';

/** All vendors by id, the nameless compatible ones included. */
export const providersById: { readonly [id: string]: Provider } = Object.fromEntries(
  [...providers, ...compatibleProviders].map((provider) => [provider.id, provider]),
);
// Ids come from outside, and `constructor` is none.
Object.setPrototypeOf(providersById, null);
