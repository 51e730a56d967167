import { asBoolean, asString, rememberByObject } from '#std';
import type { Quirks } from '../dialect.ts';

/** How a model takes instructions about thinking. */
export type ThinkingControl = 'level' | 'budget' | 'none';

/** The deviations this dialect knows, read and defaulted. */
export type GeminiQuirks = {
  /** Gemini 3+ takes `thinkingLevel`, 2.5 `thinkingBudget`, older ones nothing. Default `level`. */
  readonly thinking: ThinkingControl;
  /** Levels the model has; a missing one is replaced by the nearest. Default: all four. */
  readonly thinkingLevels: readonly string[];
  /** Least and most of `thinkingBudget`, tokens; 0 stays 0 only where the least is 0. */
  readonly thinkingBudgetMin: number;
  readonly thinkingBudgetMax: number;
  /** Gemini 3+ refuses a function call of the open turn without a signature: send the documented sentinel. */
  readonly signatureSentinel: boolean;
  /** `json-schema` (default) or `openapi-subset` for models without the JSON Schema fields. */
  readonly schemaField: 'json-schema' | 'openapi-subset';
  /** Media of a tool result inside `functionResponse.parts` (Gemini 3+); else after it in the turn. */
  readonly functionResponseParts: boolean;
  /** The upstream fetches http(s) URLs of media itself. Default false: the gateway inlines them. */
  readonly fetchesUrls: boolean;
  /** Function calls and results carry the client's ids. Default true. */
  readonly toolIdsInParts: boolean;
  /** Files may have a `displayName`: Vertex only, the Gemini API refuses a request with one. Default false. */
  readonly displayNames: boolean;
};

export const geminiQuirkNames = [
  'thinking',
  'thinkingLevels',
  'thinkingBudgetMin',
  'thinkingBudgetMax',
  'signatureSentinel',
  'schemaField',
  'functionResponseParts',
  'fetchesUrls',
  'enumsAsIntegers',
  'toolIdsInParts',
  'displayNames',
] as const;

const allLevels: readonly string[] = ['MINIMAL', 'LOW', 'MEDIUM', 'HIGH'];

export const readQuirks = rememberByObject((quirks: Quirks): GeminiQuirks => {
  const thinking = asString(quirks['thinking']);
  const levels = quirks['thinkingLevels'];
  return {
    thinking: thinking === 'budget' || thinking === 'none' ? thinking : 'level',
    thinkingLevels: Array.isArray(levels)
      ? levels.filter((level) => typeof level === 'string')
      : allLevels,
    thinkingBudgetMin:
      typeof quirks['thinkingBudgetMin'] === 'number' ? quirks['thinkingBudgetMin'] : 0,
    thinkingBudgetMax:
      typeof quirks['thinkingBudgetMax'] === 'number' ? quirks['thinkingBudgetMax'] : 24_576,
    signatureSentinel: asBoolean(quirks['signatureSentinel']) ?? false,
    schemaField: quirks['schemaField'] === 'openapi-subset' ? 'openapi-subset' : 'json-schema',
    functionResponseParts: asBoolean(quirks['functionResponseParts']) ?? false,
    fetchesUrls: asBoolean(quirks['fetchesUrls']) ?? false,
    toolIdsInParts: asBoolean(quirks['toolIdsInParts']) ?? true,
    displayNames: asBoolean(quirks['displayNames']) ?? false,
  };
});
