/** Comparing a decoded answer with the plain reading of the recording. */

import {
  cacheWriteTotalTokens,
  inputTotalTokens,
  outputTotalTokens,
  type ChatResponse,
  type Part,
  type Usage,
} from '#canonical';
import {
  asArray,
  asCount,
  asObject,
  asString,
  parseJson,
  type JsonObject,
  type JsonValue,
} from '#std';

export function textOf(parts: readonly Part[]): string {
  return parts.map((part) => (part.kind === 'text' ? part.text : '')).join('');
}

export function reasoningOf(parts: readonly Part[]): string {
  return parts.map((part) => (part.kind === 'reasoning' ? part.text : '')).join('');
}

/** What differs between the first choice and `expected`, in words. */
export function compareAnswer(response: ChatResponse, expected: JsonObject): string[] {
  const problems: string[] = [];
  const choice = response.choices[0];
  const parts = choice?.parts ?? [];
  const check = (what: string, actual: unknown, wanted: unknown): void => {
    if (JSON.stringify(actual) !== JSON.stringify(wanted))
      problems.push(`${what}: ${brief(actual)} instead of ${brief(wanted)}`);
  };
  check('text', textOf(parts), asString(expected['text']) ?? '');
  if (expected['reasoning_text'] !== undefined)
    check('reasoning', reasoningOf(parts), expected['reasoning_text']);
  check('finish', choice?.finish.raw, asString(expected['finish_reason']) ?? '');
  compareCalls(parts, expected, check);
  if (expected['model'] !== undefined) check('model', response.model, expected['model']);
  if (expected['id'] !== undefined) check('id', response.id, asString(expected['id']) ?? '');
  if (asCount(expected['n_choices']) !== undefined)
    check('choices', response.choices.length, expected['n_choices']);
  if (expected['service_tier'] !== undefined)
    check(
      'service tier',
      response.serviceTier ?? response.usage?.serviceTier,
      expected['service_tier'],
    );
  const citations = asCount(expected['n_annotations']) ?? asCount(expected['n_citations']);
  if (citations !== undefined) {
    check(
      'citations',
      parts.reduce(
        (sum, part) => sum + (part.kind === 'text' ? (part.citations?.length ?? 0) : 0),
        0,
      ),
      citations,
    );
  }
  return problems;
}

function compareCalls(
  parts: readonly Part[],
  expected: JsonObject,
  check: (what: string, actual: unknown, wanted: unknown) => void,
): void {
  const calls = parts.filter((part) => part.kind === 'tool-call');
  const single = asObject(expected['function_call']);
  const wanted = asArray(expected['tool_calls']) ?? (single ? [single] : []);
  check('tool calls', calls.length, wanted.length);
  for (const [position, element] of wanted.entries()) {
    const want = asObject(element);
    const call = calls[position];
    const id = asString(want?.['id']);
    if (id !== undefined && id !== '') check('tool id', call?.id, id);
    else if ((call?.id ?? '') === '') check('tool id', call?.id, 'one that was made');
    check('tool name', call?.name, want?.['name']);
    check(
      'tool input',
      sorted(parsedInput(call?.input ?? '')),
      sorted(parsedInput(want?.['arguments'])),
    );
  }
}

function parsedInput(value: JsonValue | undefined): JsonValue {
  if (typeof value !== 'string') return value ?? null;
  const parsed = parseJson(value);
  return parsed.ok ? parsed.value : value;
}

function sorted(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner ?? null)]),
  );
}

/** What differs between decoded usage and `usage_normalised`. Cached tokens beyond the prompt are cut to it. */
export function compareUsage(
  usage: Usage | undefined,
  normalised: JsonObject | undefined,
): string[] {
  if (!normalised) return [];
  if (!usage) return ['usage: missing'];
  const input = asCount(normalised['input_total']) ?? 0;
  const read = asCount(normalised['cached_input']);
  const write = asCount(normalised['cache_write']);
  const output = asCount(normalised['output_total']);
  const reasoning = asCount(normalised['reasoning']) ?? 0;
  // More reasoning than output can only mean that it comes on top: the reported costs prove it.
  const beyond = output !== undefined && reasoning > output ? reasoning : 0;
  const pairs: readonly (readonly [string, number | undefined, number | undefined])[] = [
    ['input', inputTotalTokens(usage), input],
    ['output', outputTotalTokens(usage), output === undefined ? undefined : output + beyond],
    ['reasoning', usage.reasoningTokens, asCount(normalised['reasoning'])],
    ['cache read', usage.cacheReadTokens, read === undefined ? undefined : Math.min(read, input)],
    [
      'cache write',
      cacheWriteTotalTokens(usage),
      write === undefined ? undefined : Math.min(write, input - Math.min(read ?? 0, input)),
    ],
  ];
  return pairs.flatMap(([what, actual, wanted]) =>
    wanted === undefined || actual === wanted
      ? []
      : [`usage ${what}: ${String(actual)} instead of ${wanted}`],
  );
}

function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}

/** A usage object as a client may see it: what the operator pays is not told. */
export function withoutVendorCosts(usage: JsonObject): JsonObject {
  const hidden = /^(?:(?:estimated_|market_)?cost|cost_details|cost_in_usd_ticks|is_byok)$/;
  return Object.fromEntries(Object.entries(usage).filter(([name]) => !hidden.test(name)));
}
