import type { ReasoningEffort } from '#canonical';
import { asArray, asBoolean, asCount, asString, rememberByObject } from '#std';
import type { Quirks } from '../dialect.ts';

/**
 * Deviations that this dialect reads. Without any, a request said in this dialect goes out as it
 * came, and one said in another is written for a current first-party Claude model. Headers
 * (`anthropic-version`, `anthropic-beta`) are the provider's matter.
 *
 * | quirk | values | meaning |
 * | --- | --- | --- |
 * | samplingRefused | boolean | temperature, top_p and top_k are refused (Opus 4.7+, all of API 2026-10-21) |
 * | temperatureOrTopP | boolean | only one of both (4.1 to 4.5) |
 * | thinking | budget, adaptive, none | the form of thinking that the model takes |
 * | thinkingCanDisable | boolean | whether `disabled` is accepted |
 * | thinkingDisplay | boolean | whether `thinking.display` is accepted |
 * | thinkingWithoutSignature | boolean | thinking blocks without a signature are accepted (compatible vendors) |
 * | efforts | array of words | accepted `output_config.effort`; empty: the field is not sent |
 * | forcedToolUse | boolean | `tool_choice` any and tool are accepted |
 * | structuredOutput | native, tool | `output_config.format`, or a forced tool that stands for it |
 * | strictTools | boolean | `strict` on tools is accepted |
 * | outputTokensDefault | number | `max_tokens` where the client names none: the model's limit |
 * | modelInBody | boolean | false where the path names the model (Vertex, Bedrock) |
 * | streamInBody | boolean | false where the path asks for the stream (Bedrock) |
 * | bodyVersion | string | `anthropic_version` in the body (`vertex-2023-10-16`, `bedrock-2023-05-31`) |
 * | systemRoleMidConversation | boolean | messages of role system are accepted |
 * | prefillAllowed | boolean | the last message may be the assistant's |
 * | fetchesUrls | boolean | the upstream loads https URLs of images and documents itself |
 * | webSearchTool | string | the versioned type of the web search tool |
 */
export type AnthropicQuirks = {
  readonly samplingRefused: boolean;
  readonly temperatureOrTopP: boolean;
  /** `undefined`: a client of this dialect knows best. */
  readonly thinking: 'budget' | 'adaptive' | 'none' | undefined;
  readonly thinkingCanDisable: boolean;
  readonly thinkingDisplay: boolean;
  readonly thinkingWithoutSignature: boolean;
  readonly efforts: readonly string[] | undefined;
  readonly forcedToolUse: boolean;
  readonly structuredOutput: 'native' | 'tool';
  readonly strictTools: boolean;
  readonly outputTokensDefault: number | undefined;
  readonly modelInBody: boolean;
  readonly streamInBody: boolean;
  readonly bodyVersion: string | undefined;
  readonly systemRoleMidConversation: boolean | undefined;
  readonly prefillAllowed: boolean;
  readonly fetchesUrls: boolean;
  readonly webSearchTool: string;
};

export const quirkNames = [
  'samplingRefused',
  'temperatureOrTopP',
  'thinking',
  'thinkingCanDisable',
  'thinkingDisplay',
  'thinkingWithoutSignature',
  'efforts',
  'forcedToolUse',
  'structuredOutput',
  'strictTools',
  'outputTokensDefault',
  'modelInBody',
  'streamInBody',
  'bodyVersion',
  'systemRoleMidConversation',
  'prefillAllowed',
  'fetchesUrls',
  'webSearchTool',
] as const satisfies readonly (keyof AnthropicQuirks)[];

/** The default of `max_tokens` when nothing is known of the model: every Claude model takes it. */
export const outputTokensFallback = 4096;

export const readQuirks = rememberByObject((quirks: Quirks): AnthropicQuirks => {
  const thinking = asString(quirks['thinking']);
  return {
    samplingRefused: asBoolean(quirks['samplingRefused']) ?? false,
    temperatureOrTopP: asBoolean(quirks['temperatureOrTopP']) ?? false,
    thinking:
      thinking === 'budget' || thinking === 'adaptive' || thinking === 'none'
        ? thinking
        : undefined,
    thinkingCanDisable: asBoolean(quirks['thinkingCanDisable']) ?? true,
    thinkingDisplay: asBoolean(quirks['thinkingDisplay']) ?? true,
    thinkingWithoutSignature: asBoolean(quirks['thinkingWithoutSignature']) ?? false,
    efforts: asArray(quirks['efforts'])?.filter((effort) => typeof effort === 'string'),
    forcedToolUse: asBoolean(quirks['forcedToolUse']) ?? true,
    structuredOutput: quirks['structuredOutput'] === 'tool' ? 'tool' : 'native',
    strictTools: asBoolean(quirks['strictTools']) ?? false,
    outputTokensDefault: asCount(quirks['outputTokensDefault']),
    modelInBody: asBoolean(quirks['modelInBody']) ?? true,
    streamInBody: asBoolean(quirks['streamInBody']) ?? true,
    bodyVersion: asString(quirks['bodyVersion']),
    systemRoleMidConversation: asBoolean(quirks['systemRoleMidConversation']),
    prefillAllowed: asBoolean(quirks['prefillAllowed']) ?? true,
    fetchesUrls: asBoolean(quirks['fetchesUrls']) ?? true,
    webSearchTool: asString(quirks['webSearchTool']) ?? 'web_search_20250305',
  };
});

/** Efforts in rising order: the nearest accepted one replaces one that a model refuses. */
export const effortOrder: readonly ReasoningEffort[] = [
  'none',
  'minimal',
  'low',
  'medium',
  'high',
  'xhigh',
  'max',
];

/** Name of the tool that stands for a JSON schema where the model has no `output_config.format`. */
export const answerToolName = 'json_answer';
