import { compatibleProviders } from './compatible.ts';
import type { Provider } from './provider.ts';
import { providers } from './registry.gen.ts';

export * from './channel.ts';
export type * from './provider.ts';

/** All vendors by id, the nameless compatible ones included. Ids come from outside: it inherits nothing. */
export const providersById: { readonly [id: string]: Provider } = Object.assign(
  Object.create(null),
  Object.fromEntries(
    [...providers, ...compatibleProviders].map((provider) => [provider.id, provider]),
  ),
);
