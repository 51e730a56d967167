import type { ReasoningEffort } from '#canonical';
import { asArray, asBoolean, asCount, asString, rememberByObject } from '#std';
import type { Quirks } from '../dialect.ts';

/** Deviations of a vendor or model from OpenAI's own Responses API, with their meanings. */
export type ResponsesQuirks = {
  /** Asks for `reasoning.encrypted_content`: true for reasoning models, false where it is refused. */
  readonly encryptedReasoning: boolean | undefined;
  /** `reasoning.summary` for clients whose dialect has no word for it; none unless told. */
  readonly reasoningSummary: string | undefined;
  /** `content`: open models read their own thinking as text; otherwise only encrypted state is replayed. */
  readonly reasoningReplay: 'encrypted' | 'content';
  /** Efforts the model takes; others go to the nearest of them. */
  readonly efforts: readonly ReasoningEffort[] | undefined;
  /** The model does not reason: `reasoning` is not sent. */
  readonly reasoningRefused: boolean;
  /** Sampling parameters are refused unless the effort is `none`. */
  readonly temperatureRefused: boolean;
  /** Top-level fields that are never sent (`metadata`, `text.verbosity`, …). */
  readonly refusedFields: ReadonlySet<string>;
  /** Smallest `max_output_tokens` the vendor takes; OpenAI refuses less than 16. */
  readonly outputTokensMin: number | undefined;
  /** Role of system messages upstream; as the client said unless told. `instructions`: the field of that name. */
  readonly systemRole: 'system' | 'developer' | 'instructions' | undefined;
  /** Name of the vendor's web search tool; `refused` where it has none. */
  readonly webSearchTool: string;
  /** Where media in a tool's result go: `list` in the output itself, `user` into a user message after it. */
  readonly toolResultMedia: 'list' | 'user';
  /** The upstream loads https URLs of images and files itself; otherwise the gateway inlines them. */
  readonly fetchesUrls: boolean;
  /** Takes `input_audio` parts. */
  readonly audioInput: boolean;
  /** Takes explicit `prompt_cache_breakpoint` marks. */
  readonly cacheBreakpoints: boolean;
  /**
   * Takes the client's tools with free text. Otherwise they go as functions of one string, and a call with free text
   * is one that the vendor runs itself (xAI's searches on X).
   */
  readonly customTools: boolean;
  /** Longest tool call id; longer ones are mapped within the request. */
  readonly toolCallIdLengthMax: number;
  /** Field of the end user's id: `safety_identifier` unless told. */
  readonly endUserField: string;
};

export const responsesQuirkNames: readonly string[] = [
  'encryptedReasoning',
  'reasoningSummary',
  'reasoningReplay',
  'efforts',
  'reasoningRefused',
  'temperatureRefused',
  'refusedFields',
  'outputTokensMin',
  'systemRole',
  'webSearchTool',
  'toolResultMedia',
  'fetchesUrls',
  'audioInput',
  'cacheBreakpoints',
  'customTools',
  'toolCallIdLengthMax',
  'endUserField',
];

/** From weak to strong: the order in which efforts are clamped. */
export const effortOrder: readonly ReasoningEffort[] = [
  'none',
  'minimal',
  'low',
  'medium',
  'high',
  'xhigh',
  'max',
];

export const readQuirks = rememberByObject((quirks: Quirks): ResponsesQuirks => {
  const systemRole = asString(quirks['systemRole']);
  return {
    encryptedReasoning: asBoolean(quirks['encryptedReasoning']),
    reasoningSummary: asString(quirks['reasoningSummary']),
    reasoningReplay: quirks['reasoningReplay'] === 'content' ? 'content' : 'encrypted',
    efforts: readEfforts(quirks),
    reasoningRefused: quirks['reasoningRefused'] === true,
    temperatureRefused: quirks['temperatureRefused'] === true,
    refusedFields: new Set(
      (asArray(quirks['refusedFields']) ?? []).filter((field) => typeof field === 'string'),
    ),
    outputTokensMin: asCount(quirks['outputTokensMin']),
    systemRole:
      systemRole === 'system' || systemRole === 'developer' || systemRole === 'instructions'
        ? systemRole
        : undefined,
    webSearchTool: asString(quirks['webSearchTool']) ?? 'web_search',
    toolResultMedia: quirks['toolResultMedia'] === 'user' ? 'user' : 'list',
    fetchesUrls: quirks['fetchesUrls'] !== false,
    audioInput: quirks['audioInput'] === true,
    cacheBreakpoints: quirks['cacheBreakpoints'] === true,
    customTools: quirks['customTools'] !== false,
    toolCallIdLengthMax: asCount(quirks['toolCallIdLengthMax']) ?? 64,
    endUserField: asString(quirks['endUserField']) ?? 'safety_identifier',
  };
});

function readEfforts(quirks: Quirks): readonly ReasoningEffort[] | undefined {
  const list = asArray(quirks['efforts']);
  if (!list) return undefined;
  const known = effortOrder.filter((effort) => list.includes(effort));
  return known.length > 0 ? known : undefined;
}

/** The nearest effort the model takes; of two equally near ones the weaker, which costs less. */
export function clampEffort(
  effort: ReasoningEffort,
  efforts: readonly ReasoningEffort[] | undefined,
): ReasoningEffort {
  if (!efforts || efforts.includes(effort)) return effort;
  const wanted = effortOrder.indexOf(effort);
  let nearest = efforts[0] ?? effort;
  for (const candidate of efforts) {
    const distance = Math.abs(effortOrder.indexOf(candidate) - wanted);
    if (distance < Math.abs(effortOrder.indexOf(nearest) - wanted)) nearest = candidate;
  }
  return nearest;
}
