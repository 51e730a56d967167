import type { WebSearchTool } from '#canonical';
import { asObject, saidFields, type JsonObject, type JsonValue } from '#std';

/** Where dialects and vendors keep the options of a search, if not beside its type. */
const nests: readonly string[] = [
  'parameters',
  'web_search',
  'filters',
  'googleSearch',
  'google_search',
  'googleSearchRetrieval',
  'google_search_retrieval',
];
const names = new Set(['type', 'name', 'enable', ...nests]);
const otherNames: { readonly [name: string]: string } = {
  excluded_domains: 'blocked_domains',
  excludeDomains: 'blocked_domains',
};

/**
 * How a search is to be done, flat and in the names of OpenAI and Anthropic, which agree where both
 * have one: `search_context_size`, `user_location`, `allowed_domains`, `blocked_domains`, `max_uses`.
 * What only one vendor has keeps its name, so that it can be reported.
 */
function searchOptions({ native }: WebSearchTool): JsonObject {
  const options: Record<string, JsonValue | undefined> = {};
  const places = [native.value, ...nests.map((nest) => asObject(native.value[nest]) ?? {})];
  for (const place of places)
    for (const key of saidFields(place))
      if (!names.has(key)) options[otherNames[key] ?? key] = place[key];
  const location = asObject(options['user_location']);
  if (location) options['user_location'] = flatLocation(location);
  return options;
}

/** Chat has the place one level deeper. */
function flatLocation(location: JsonObject): JsonObject {
  return { type: 'approximate', ...(asObject(location['approximate']) ?? location) };
}

/** The options that are said of those in `taken`; `lose` hears of all others. */
export function takeSearchOptions(
  tool: WebSearchTool,
  taken: readonly string[],
  lose: (option: string) => void,
): JsonObject {
  const options = searchOptions(tool);
  for (const key of saidFields(options)) if (!taken.includes(key)) lose(key);
  return Object.fromEntries(Object.entries(options).filter(([key]) => taken.includes(key)));
}
