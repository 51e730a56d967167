/** Channels from all three sources: the configuration file, the store, and keys in the environment. */

import type * as z from 'zod';
import type { Channel } from '#gateway';
import { channelSchema, providersById, type ChannelDefinition, type Provider } from '#providers';
import { checkUrl, UpstreamFailure } from '#upstream';
import { ConfigError, type Environment } from './config.ts';

export type Providers = { readonly [id: string]: Provider };

type Issue = z.core.$ZodIssue;

/** The channel of the built-in simulator. */
export const simulatorId = 'simulator';

/** A channel as it was given or stored. Throws {@link ConfigError} with what is wrong. */
export function readChannel(given: unknown): ChannelDefinition {
  const parsed = channelSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new ConfigError(complaints(parsed.error.issues, []).join('\n'));
}

/** {@link readChannel} for what somebody gives now: an address that would never be called is refused as well. */
export function readNewChannel(given: unknown): ChannelDefinition {
  const definition = readChannel(given);
  checkAddresses(definition);
  return definition;
}

/** Throws {@link ConfigError} when no request to this channel could be sent, whatever its names resolve to. */
export function checkAddresses(definition: ChannelDefinition): void {
  const { id, provider = '', allow_private: allowPrivate = false } = definition;
  const usual = definition.base_url ?? providersById[provider]?.baseUrl ?? '';
  for (const base of definition.base_urls ?? [usual]) {
    if (base === '' || base.includes('{')) continue;
    try {
      checkUrl(base, { allowPrivate });
    } catch (error) {
      if (!(error instanceof UpstreamFailure)) throw error;
      const remedy = allowPrivate
        ? ''
        : ' A server of your own, with a private address or without TLS, needs `allow_private: true` (`channel add --allow-private`).';
      throw new ConfigError(`Channel \`${id}\`, ${base}: ${error.message}.${remedy}`);
    }
  }
}

function complaints(issues: readonly Issue[], place: readonly string[]): readonly string[] {
  return issues.flatMap((issue) => {
    const inner = issue.code === 'invalid_union' ? likelyBranch(issue.errors) : undefined;
    const path = [...place, ...issue.path.map(String)];
    return inner ? complaints(inner, path) : [[...path, issue.message].join(': ')];
  });
}

/** The reading that got furthest: what the writer most likely meant. `undefined` when none got anywhere. */
export function likelyBranch(
  branches: readonly (readonly Issue[])[],
): readonly Issue[] | undefined {
  const deep = branches.filter((issues) => issues.some((issue) => issue.path.length > 0));
  const unknown = branches.filter((issues) =>
    issues.some((issue) => issue.code === 'unrecognized_keys'),
  );
  return deep[0] ?? unknown[0];
}

/** Resolves a definition against its provider. Throws {@link ConfigError} with the remedy. */
export function resolveChannel(
  definition: ChannelDefinition,
  providers: Providers,
  environment: Environment,
): Channel {
  const provider = providerOf(definition, providers);
  const parameters = parametersOf(definition, provider, environment);
  const secret = definition.secret ?? secretFrom(provider, environment) ?? '';
  if (secret === '' && provider.keyless !== true) {
    const remedy =
      provider.environment.length > 0
        ? `or set ${provider.environment[0]}`
        : 'in the configuration';
    throw new ConfigError(`Channel \`${definition.id}\` has no key: set \`secret\` ${remedy}.`);
  }
  const bases = definition.base_urls ?? [definition.base_url ?? provider.baseUrl];
  const baseUrls = bases.map((base) =>
    base.replace(/\{(\w+)\}/g, (_, name: string) => parameters[name] ?? '').replace(/\/+$/, ''),
  );
  const [baseUrl = ''] = baseUrls;
  return { id: definition.id, definition, provider, baseUrl, baseUrls, parameters, secret };
}

function providerOf(definition: ChannelDefinition, providers: Providers): Provider {
  const id = definition.provider ?? `compatible-${definition.dialect ?? ''}`;
  const provider = providers[id];
  if (provider) return provider;
  throw new ConfigError(
    `Channel \`${definition.id}\`: there is no provider \`${id}\`. Known: ${Object.keys(providers)
      .filter((name) => !name.startsWith('compatible-'))
      .join(', ')}. For any other compatible endpoint give \`dialect\` and \`base_url\`.`,
  );
}

function parametersOf(
  definition: ChannelDefinition,
  provider: Provider,
  environment: Environment,
): { readonly [name: string]: string } {
  const parameters: Record<string, string> = { ...definition.parameters };
  for (const [name, parameter] of Object.entries(provider.parameters ?? {})) {
    const value =
      parameters[name] ??
      (parameter.environment ? environment[parameter.environment] : undefined) ??
      parameter.fallback;
    if (value === undefined) {
      throw new ConfigError(
        `Channel \`${definition.id}\` needs the parameter \`${name}\` (${parameter.meaning}): set \`parameters.${name}\`${parameter.environment ? ` or ${parameter.environment}` : ''}.`,
      );
    }
    parameters[name] = value;
  }
  return parameters;
}

/** The variable of a server without keys says where it is, which must not go out as a key. */
function secretFrom(provider: Provider, environment: Environment): string | undefined {
  if (provider.keyless === true) return undefined;
  return provider.environment.map((name) => environment[name]).find((value) => value);
}

/** One channel for each provider whose key is in the environment and that has no channel yet. */
export function channelsFromEnvironment(
  providers: Providers,
  configured: ReadonlySet<string>,
  environment: Environment,
): readonly ChannelDefinition[] {
  const definitions: ChannelDefinition[] = [];
  for (const provider of Object.values(providers)) {
    if (configured.has(provider.id)) continue;
    const name = provider.environment.find((variable) => (environment[variable] ?? '') !== '');
    if (name === undefined || missesParameter(provider, environment)) continue;
    definitions.push(
      channelSchema.parse({
        id: provider.id,
        provider: provider.id,
        ...(provider.keyless
          ? { allow_private: true, base_url: serverAddress(name, environment[name] ?? '') }
          : { secret: environment[name] }),
      }),
    );
  }
  return definitions;
}

function missesParameter(provider: Provider, environment: Environment): boolean {
  return Object.values(provider.parameters ?? {}).some(
    (parameter) =>
      parameter.fallback === undefined &&
      (parameter.environment === undefined || environment[parameter.environment] === undefined),
  );
}

/** The address of a server of one's own, also as Ollama writes it: `0.0.0.0:11434`, `box:11434`. */
function serverAddress(variable: string, text: string): string {
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `http://${text}`);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new ConfigError(
      `${variable}: \`${text}\` is no address. Write it as http://127.0.0.1:8000.`,
    );
  }
  // Where a server listens on every address, it is reached on this machine's own.
  if (url.hostname === '0.0.0.0' || url.hostname === '[::]') url.hostname = '127.0.0.1';
  return url.href.replace(/\/+$/, '');
}
