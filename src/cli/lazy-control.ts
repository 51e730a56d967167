/** The control plane, loaded when somebody first asks for it: a start need not wait for its parts. */

import type { RequestListener } from 'node:http';
import { controlServices } from './control-services.ts';
import type { Books, OwnRuntime } from './runtime.ts';

/** The same as the control plane's own; reading it there would load everything. */
export const controlPrefix = '/admin';

export function createLazyControl(
  books: Books,
  runtime: OwnRuntime,
  token: string,
): RequestListener {
  let control: Promise<RequestListener> | undefined;
  const load = async (): Promise<RequestListener> => {
    const { createControl } = await import('#control');
    return createControl(controlServices(books, runtime), token);
  };
  return (request, response) => {
    control ??= load();
    control.then(
      (listener) => listener(request, response),
      (error: unknown) => {
        control = undefined;
        books.log('error', 'control.fault', { error: String(error) });
        response.writeHead(500).end();
      },
    );
  };
}
