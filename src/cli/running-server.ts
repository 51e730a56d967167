/** Questions to the control API of the server that runs on this machine. */

import { parseJson, type JsonValue } from '#std';
import { textOption, type CommandContext } from './command.ts';
import { ConfigError, loadConfig, readPort } from './config.ts';
import { readOperatorToken } from './control-services.ts';

const waitMs = 5_000;

/**
 * The answer of the running server, asked with the operator's token of the data folder. Throws
 * {@link ConfigError} with the remedy when no server answers there.
 */
export async function askServer(context: CommandContext, path: string): Promise<JsonValue> {
  const { config } = await loadConfig(textOption(context, 'config'), context.environment);
  const host = textOption(context, 'host') ?? config.listen.host;
  const given = textOption(context, 'port');
  const port = given === undefined ? config.listen.port : readPort(given, '--port');
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const url = `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}${path}`;
  let response: Response;
  try {
    response = await fetch(url, {
      headers: { authorization: `Bearer ${readOperatorToken(config)}` },
      signal: AbortSignal.timeout(waitMs),
    });
  } catch {
    throw new ConfigError(
      `No server answers at ${url}. Start it with \`manifold serve\`, or give its --host and --port.`,
    );
  }
  const text = await response.text();
  if (response.status === 401) {
    throw new ConfigError(`The server at ${url} has another data folder: its token is not ours.`);
  }
  const parsed = parseJson(text);
  if (!parsed.ok || response.status !== 200) {
    throw new ConfigError(`The server at ${url} answered with status ${response.status}.`);
  }
  return parsed.value;
}
