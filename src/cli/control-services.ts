/** The control plane's view of a running gateway. */

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ControlServices } from '#control';
import { readNewChannel } from './channels.ts';
import { ConfigError, type Config } from './config.ts';
import { rateReceipt } from './rate-receipt.ts';
import { storedChannels, type Books, type OwnRuntime } from './runtime.ts';
import { writeOnce } from './write-once.ts';

export function operatorTokenPath(config: Pick<Config, 'data'>): string {
  return join(resolve(config.data), 'admin_token');
}

/** The configured one, or one made at the first start, readable by its owner only. */
export function readOperatorToken(config: Pick<Config, 'operator_token' | 'data'>): string {
  if (config.operator_token !== undefined) return config.operator_token;
  const path = operatorTokenPath(config);
  writeOnce(path, `op-${randomBytes(32).toString('base64url')}\n`);
  return readFileSync(path, 'utf8').trim();
}

export function controlServices(books: Books, runtime: OwnRuntime): ControlServices {
  const { store, ledger, access, newId, log } = books;
  return {
    store,
    ledger,
    access,
    newId,
    log,
    clock: runtime.services.clock,
    router: runtime.owned.router,
    rate: rateReceipt,
    channels: {
      async put(id, body) {
        const stored = await storedChannels(store);
        // The secret is never shown, so a change of anything else must not lose it.
        const secret = stored.find((definition) => definition.id === id)?.secret;
        const kept = body['secret'] === undefined && secret !== undefined ? { secret } : {};
        const others = stored.filter((definition) => definition.id !== id);
        try {
          const definition = readNewChannel({ ...kept, ...body, id });
          runtime.reload([...others, definition]);
          await store.channels.put(id, definition);
        } catch (error) {
          if (error instanceof ConfigError) return error.message;
          throw error;
        }
        return undefined;
      },
      async remove(id) {
        const removed = await store.channels.remove(id);
        if (removed) runtime.reload(await storedChannels(store));
        return removed;
      },
    },
  };
}
