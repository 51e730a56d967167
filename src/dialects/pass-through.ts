/**
 * The few fields that change in a request body that otherwise passes through untouched, per dialect.
 * Everything not named here leaves byte for byte as it came.
 */

import type { ChatRequest, DialectId } from '#canonical';
import { asArray, asCount, asObject, type JsonEdit, type JsonObject } from '#std';

export type PassThroughChange = {
  /** The model's name at the upstream. */
  readonly model: string;
  /** Set when the balance allows less than was asked for. */
  readonly outputTokensMax?: number | undefined;
  /** Fields meant for the gateway itself. */
  readonly drop: readonly string[];
  /** Whether reasoning state has to come back encrypted because nothing is stored upstream. */
  readonly encryptedReasoning: boolean;
  /** False where the vendor refuses to be asked for usage in streams. */
  readonly streamUsage: boolean;
};

export function passThroughEdits(
  dialect: DialectId,
  wire: JsonObject,
  request: ChatRequest,
  change: PassThroughChange,
): readonly JsonEdit[] {
  const edits: JsonEdit[] = [];
  for (const key of change.drop) if (wire[key] !== undefined) edits.push({ key, value: undefined });
  if (wire['model'] !== undefined && wire['model'] !== change.model)
    edits.push({ key: 'model', value: JSON.stringify(change.model) });
  edits.push(...dialectEdits(dialect, wire, request, change));
  return edits;
}

function dialectEdits(
  dialect: DialectId,
  wire: JsonObject,
  request: ChatRequest,
  change: PassThroughChange,
): readonly JsonEdit[] {
  const { outputTokensMax } = change;
  switch (dialect) {
    case 'openai-chat':
    case 'openai-completions':
      return [
        ...chatLimitEdits(dialect, wire, request, outputTokensMax),
        ...(change.streamUsage ? usageEdit(wire, request) : []),
      ];
    case 'openai-responses':
      return [...limitEdit('max_output_tokens', outputTokensMax), ...stateEdits(wire, change)];
    case 'anthropic-messages':
      return [...limitEdit('max_tokens', outputTokensMax), ...thinkingEdit(wire, outputTokensMax)];
    case 'gemini-generate': {
      if (outputTokensMax === undefined) return [];
      const key =
        wire['generation_config'] === undefined ? 'generationConfig' : 'generation_config';
      return [
        {
          key,
          value: JSON.stringify({ ...asObject(wire[key]), maxOutputTokens: outputTokensMax }),
        },
      ];
    }
  }
}

/** Anthropic's least budget for thinking. */
const thinkingBudgetMin = 1024;

/** A budget for thinking has to be below `max_tokens`: a lowered limit lowers it too, or ends the thinking. */
function thinkingEdit(wire: JsonObject, outputTokensMax: number | undefined): readonly JsonEdit[] {
  const thinking = asObject(wire['thinking']);
  const budget = asCount(thinking?.['budget_tokens']);
  if (outputTokensMax === undefined || budget === undefined || budget < outputTokensMax) return [];
  const lowered = Math.floor((outputTokensMax * 3) / 4);
  const value =
    lowered < thinkingBudgetMin ? { type: 'disabled' } : { ...thinking, budget_tokens: lowered };
  return [{ key: 'thinking', value: JSON.stringify(value) }];
}

/**
 * Vendors obey one of the two limits, or the other: where both are said, both say what is held for.
 * The legacy endpoint has only `max_tokens`, and many of its vendors pass the other one over.
 */
function chatLimitEdits(
  dialect: 'openai-chat' | 'openai-completions',
  wire: JsonObject,
  request: ChatRequest,
  lowered: number | undefined,
): readonly JsonEdit[] {
  const said = ['max_completion_tokens', 'max_tokens'].filter(
    (key) => asCount(wire[key]) !== undefined,
  );
  const usual = dialect === 'openai-chat' ? 'max_completion_tokens' : 'max_tokens';
  const isEnough = said.length > 0 && (dialect === 'openai-chat' || said.includes(usual));
  const keys = isEnough ? said : [...said, usual];
  const limit = lowered ?? (keys.length === 2 ? request.outputTokensMax : undefined);
  return keys.filter((key) => wire[key] !== limit).flatMap((key) => limitEdit(key, limit));
}

function limitEdit(key: string, outputTokensMax: number | undefined): readonly JsonEdit[] {
  return outputTokensMax === undefined ? [] : [{ key, value: String(outputTokensMax) }];
}

/** Usage is always asked for: it is what the bill is made from. The client that did not ask does not see it. */
function usageEdit(wire: JsonObject, request: ChatRequest): readonly JsonEdit[] {
  if (!request.stream || request.streamUsage) return [];
  return [
    {
      key: 'stream_options',
      value: JSON.stringify({ ...asObject(wire['stream_options']), include_usage: true }),
    },
  ];
}

/** The gateway keeps conversations itself; nothing is stored at the vendor. */
function stateEdits(wire: JsonObject, change: PassThroughChange): readonly JsonEdit[] {
  const edits: JsonEdit[] = [];
  if (wire['store'] !== false) edits.push({ key: 'store', value: 'false' });
  const wanted = 'reasoning.encrypted_content';
  const include = asArray(wire['include']) ?? [];
  if (change.encryptedReasoning && !include.includes(wanted))
    edits.push({ key: 'include', value: JSON.stringify([...include, wanted]) });
  return edits;
}
