/** A vendor that says what a test wants, where the simulator would not. */

import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { channelSchema, type ChannelDefinition } from '#providers';

export type OddVendor = {
  /** A channel to it; `definition` over what every such channel has. */
  channel(definition: Readonly<Record<string, unknown>>, path?: string): ChannelDefinition;
  close(): void;
};

export async function startOddVendor(answer: RequestListener): Promise<OddVendor> {
  const server = createServer(answer);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    channel: (definition, path = '') =>
      channelSchema.parse({
        id: 'odd',
        dialect: 'openai-chat',
        base_url: origin + path,
        secret: 'x',
        allow_private: true,
        ...definition,
      }),
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
