import type { ReasoningEffort } from '#canonical';
import { asArray, asBoolean, asNumber, asString, rememberByObject, type JsonValue } from '#std';
import type { Quirks } from '../dialect.ts';

/**
 * How a vendor or a model deviates from plain Chat Completions. Every quirk is optional; the value
 * after "plain:" is what holds without it.
 */
export type ChatQuirks = {
  /** What instructions are called. `developer`: OpenAI's newer models; `user`: models with no such role. Plain: as the client said, `system` for the rest. */
  readonly systemRole?: 'developer' | 'system' | 'user' | undefined;
  /** Whether several or late system messages are refused: they are merged into the first. Plain: false. */
  readonly singleSystem: boolean;
  /** Plain: `max_completion_tokens`; nearly all compatible vendors know only `max_tokens`. */
  readonly outputTokensField: 'max_completion_tokens' | 'max_tokens' | 'none';
  /** Whether `stream_options.include_usage` is understood. Plain: true. False: usage comes unasked or never. */
  readonly streamUsage: boolean;
  /**
   * How thinking of earlier turns goes back. `auto`: `reasoning_details` where they carry state or a
   * vendor's fields, else `reasoning_content`. `reasoning_content_required`: also an empty one on
   * assistant turns with tool calls (DeepSeek V4, Kimi K3). `content`: Mistral's content parts.
   */
  readonly reasoningReplay:
    | 'auto'
    | 'none'
    | 'reasoning_content'
    | 'reasoning_content_required'
    | 'reasoning'
    | 'reasoning_details'
    | 'content';
  /** Which ids of tool calls are taken. `alphanumeric-9`: nine letters and digits; `max-64`: 64 characters at most. Plain: any. */
  readonly toolIdForm: 'any' | 'alphanumeric-9' | 'max-64';
  /** completion_tokens without reasoning_tokens (xAI, Perplexity). Plain: told from total_tokens. */
  readonly usageExcludesReasoning?: boolean | undefined;
  /** Tokens in total_tokens that no other count names are reasoning (Gemini's /openai). Plain: false. */
  readonly usageGapIsReasoning: boolean;
  /** Efforts that are accepted; others become the nearest. Plain: all pass. */
  readonly efforts?: readonly ReasoningEffort[] | undefined;
  /**
   * Where reasoning is asked for: `effort` (reasoning_effort), `thinking` ({type, budget_tokens}),
   * `thinking_and_effort` (DeepSeek V4), `enable_thinking` (+ thinking_budget, Alibaba, vLLM),
   * `reasoning` (OpenRouter's object), `none`. Plain: as the client spelled it, else `effort`.
   */
  readonly thinkingField?:
    | 'effort'
    | 'thinking'
    | 'thinking_and_effort'
    | 'enable_thinking'
    | 'reasoning'
    | 'none'
    | undefined;
  /** Plain: free. `only-1`: dropped unless it is 1 (Kimi K2.6 and later); a number: the most accepted. */
  readonly temperature: 'free' | 'refused' | 'only-1' | number;
  readonly topP: 'free' | 'refused';
  /** Reasoning models of OpenAI refuse `stop`: a loss that changes the meaning. */
  readonly stop: 'free' | 'refused';
  /** Most stop sequences; plain: 4. */
  readonly stopMax: number;
  /** Plain: true. */
  readonly parallelToolCalls: boolean;
  /** Request fields that this vendor answers with a 400: dropped, and reported. */
  readonly refused: readonly string[];
  /** Plain: `strict`. `json_object`: only the JSON mode, the schema is a loss. `none`: neither. */
  readonly jsonSchema: 'strict' | 'json_object' | 'none';
  /** Field on a trailing assistant message that makes it a prefill: `partial` (Kimi), `prefix` (DeepSeek, Mistral). */
  readonly prefill: 'none' | 'partial' | 'prefix';
  /** False: content must be text; parts are joined, media are losses. Plain: true. */
  readonly contentArrays: boolean;
  /** Plain: false. True: tool messages must directly follow their call, so user turns after them get an assistant turn first (Mistral). */
  readonly strictToolMessages: boolean;
  /** `required` in the vendor's word (`any` at Mistral's older models). */
  readonly toolChoiceRequired: 'required' | 'any' | 'auto';
  /** Kinds of input media that are taken. Plain: image, audio and document, and whatever a chat client says itself. */
  readonly media?: readonly ('image' | 'audio' | 'video' | 'document')[] | undefined;
  /** Whether the vendor fetches image URLs itself. Plain: true. */
  readonly fetchesUrls: boolean;
  /** Cache marks on parts. Plain: as the client said in this dialect, none for others. */
  readonly cacheMarks?: 'none' | 'cache_control' | 'prompt_cache_breakpoint' | undefined;
  /** How the vendor's own web search is asked for. */
  readonly webSearch: 'web_search_options' | 'openrouter' | 'zai' | 'enable_search' | 'none';
  /** Function tools are sent as `functions`, results as role `function` (models before tools). Plain: false. */
  readonly legacyFunctions: boolean;
  /** Custom (free text) tools; plain: true. False: sent as functions of one string `input`. */
  readonly customTools: boolean;
  /** `n` above 1. Plain: true. */
  readonly choices: boolean;
  /** Errors come with a good status as `base_resp: {status_code, status_msg}`: which HTTP status each number stands for. Plain: none. */
  readonly baseResponseStatuses?: { readonly [number: string]: JsonValue | undefined } | undefined;
  /** Fields added to every request body (a vendor's switch), never over what the client said. */
  readonly extraBody?: { readonly [field: string]: JsonValue | undefined } | undefined;
};

export const chatQuirkNames = [
  'systemRole',
  'singleSystem',
  'outputTokensField',
  'streamUsage',
  'reasoningReplay',
  'toolIdForm',
  'usageExcludesReasoning',
  'usageGapIsReasoning',
  'efforts',
  'thinkingField',
  'temperature',
  'topP',
  'stop',
  'stopMax',
  'parallelToolCalls',
  'refused',
  'jsonSchema',
  'prefill',
  'contentArrays',
  'strictToolMessages',
  'toolChoiceRequired',
  'media',
  'fetchesUrls',
  'cacheMarks',
  'webSearch',
  'legacyFunctions',
  'customTools',
  'choices',
  'extraBody',
  'baseResponseStatuses',
] as const satisfies readonly (keyof ChatQuirks)[];

/** Efforts from least to most; the order in which the nearest is sought. */
export const effortScale: readonly ReasoningEffort[] = [
  'none',
  'minimal',
  'low',
  'medium',
  'high',
  'xhigh',
  'max',
];

/** Reads quirks as configured. A value of another type counts as absent; names are checked where they are configured. */
export const readChatQuirks = rememberByObject((quirks: Quirks): ChatQuirks => {
  return {
    systemRole: oneOf(quirks['systemRole'], ['developer', 'system', 'user']),
    singleSystem: asBoolean(quirks['singleSystem']) ?? false,
    outputTokensField:
      oneOf(quirks['outputTokensField'], ['max_completion_tokens', 'max_tokens', 'none']) ??
      'max_completion_tokens',
    streamUsage: asBoolean(quirks['streamUsage']) ?? true,
    reasoningReplay:
      oneOf(quirks['reasoningReplay'], [
        'auto',
        'none',
        'reasoning_content',
        'reasoning_content_required',
        'reasoning',
        'reasoning_details',
        'content',
      ]) ?? 'auto',
    toolIdForm: oneOf(quirks['toolIdForm'], ['any', 'alphanumeric-9', 'max-64']) ?? 'any',
    usageExcludesReasoning: asBoolean(quirks['usageExcludesReasoning']),
    usageGapIsReasoning: asBoolean(quirks['usageGapIsReasoning']) ?? false,
    efforts: listOf(quirks['efforts'], effortScale),
    thinkingField: oneOf(quirks['thinkingField'], [
      'effort',
      'thinking',
      'thinking_and_effort',
      'enable_thinking',
      'reasoning',
      'none',
    ]),
    temperature:
      asNumber(quirks['temperature']) ??
      oneOf(quirks['temperature'], ['free', 'refused', 'only-1']) ??
      'free',
    topP: oneOf(quirks['topP'], ['free', 'refused']) ?? 'free',
    stop: oneOf(quirks['stop'], ['free', 'refused']) ?? 'free',
    stopMax: asNumber(quirks['stopMax']) ?? 4,
    parallelToolCalls: asBoolean(quirks['parallelToolCalls']) ?? true,
    refused: (asArray(quirks['refused']) ?? []).filter((name) => typeof name === 'string'),
    ...readShapeQuirks(quirks),
  };
});

type ShapeQuirk =
  | 'jsonSchema'
  | 'prefill'
  | 'contentArrays'
  | 'strictToolMessages'
  | 'toolChoiceRequired'
  | 'media'
  | 'fetchesUrls'
  | 'cacheMarks'
  | 'webSearch'
  | 'legacyFunctions'
  | 'customTools'
  | 'choices'
  | 'extraBody'
  | 'baseResponseStatuses';

function readShapeQuirks(quirks: Quirks): Pick<ChatQuirks, ShapeQuirk> {
  return {
    jsonSchema: oneOf(quirks['jsonSchema'], ['strict', 'json_object', 'none']) ?? 'strict',
    prefill: oneOf(quirks['prefill'], ['none', 'partial', 'prefix']) ?? 'none',
    contentArrays: asBoolean(quirks['contentArrays']) ?? true,
    strictToolMessages: asBoolean(quirks['strictToolMessages']) ?? false,
    toolChoiceRequired:
      oneOf(quirks['toolChoiceRequired'], ['required', 'any', 'auto']) ?? 'required',
    media: listOf(quirks['media'], ['image', 'audio', 'video', 'document']),
    fetchesUrls: asBoolean(quirks['fetchesUrls']) ?? true,
    cacheMarks: oneOf(quirks['cacheMarks'], ['none', 'cache_control', 'prompt_cache_breakpoint']),
    webSearch:
      oneOf(quirks['webSearch'], [
        'web_search_options',
        'openrouter',
        'zai',
        'enable_search',
        'none',
      ]) ?? 'web_search_options',
    legacyFunctions: asBoolean(quirks['legacyFunctions']) ?? false,
    customTools: asBoolean(quirks['customTools']) ?? true,
    choices: asBoolean(quirks['choices']) ?? true,
    extraBody: objectOf(quirks['extraBody']),
    baseResponseStatuses: objectOf(quirks['baseResponseStatuses']),
  };
}

/** The accepted effort nearest to the wish; of two equally near the lesser, which costs less. */
export function nearestEffort(
  wish: ReasoningEffort,
  accepted: readonly ReasoningEffort[] | undefined,
): ReasoningEffort | undefined {
  if (!accepted) return wish;
  const place = effortScale.indexOf(wish);
  let best: ReasoningEffort | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of effortScale) {
    if (!accepted.includes(candidate)) continue;
    const distance = Math.abs(effortScale.indexOf(candidate) - place);
    if (distance >= bestDistance) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
}

function oneOf<const T extends string>(
  value: JsonValue | undefined,
  allowed: readonly T[],
): T | undefined {
  const word = asString(value);
  return allowed.find((candidate) => candidate === word);
}

function listOf<const T extends string>(
  value: JsonValue | undefined,
  allowed: readonly T[],
): readonly T[] | undefined {
  const words = asArray(value);
  return words && allowed.filter((candidate) => words.includes(candidate));
}

function objectOf(value: JsonValue | undefined): ChatQuirks['extraBody'] {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as ChatQuirks['extraBody'])
    : undefined;
}
