import type { ChatRequest, Loss, ReasoningEffort, ReasoningRequest } from '#canonical';
import { asBoolean, asCount, asNumber, asObject, asString, compact, type JsonObject } from '#std';
import { effortScale, nearestEffort, type ChatQuirks } from './quirks.ts';

/**
 * How much a model may think, in the five spellings of chat vendors: `reasoning_effort` (OpenAI),
 * `reasoning` (OpenRouter), `thinking` (DeepSeek, Moonshot, Z.ai), `enable_thinking` and
 * `thinking_budget` (Alibaba, vLLM).
 */
export const reasoningFields = [
  'reasoning_effort',
  'reasoning',
  'thinking',
  'enable_thinking',
  'thinking_budget',
] as const;

export function decodeReasoningRequest(wire: JsonObject): ReasoningRequest | undefined {
  const said: Record<string, JsonObject[string]> = {};
  for (const field of reasoningFields)
    if (wire[field] !== undefined && wire[field] !== null) said[field] = wire[field];
  if (Object.keys(said).length === 0) return undefined;
  const object = asObject(wire['reasoning']);
  const thinking = asObject(wire['thinking']);
  const effort =
    effortOf(wire['reasoning_effort']) ??
    effortOf(object?.['effort']) ??
    (isOff(wire, object, thinking) ? 'none' : undefined);
  const budget =
    asCount(object?.['max_tokens']) ??
    asCount(thinking?.['budget_tokens']) ??
    asCount(wire['thinking_budget']);
  const on =
    asBoolean(object?.['enabled']) === true ||
    thinking?.['type'] === 'enabled' ||
    wire['enable_thinking'] === true;
  const budgetTokens = budget ?? (on && effort === undefined ? -1 : undefined);
  const plain = Object.keys(said).length === 1 && effortOf(said['reasoning_effort']) !== undefined;
  return {
    ...(effort === undefined ? {} : { effort }),
    ...(budgetTokens === undefined || effort === 'none' ? {} : { budgetTokens }),
    ...(asBoolean(object?.['exclude']) === true ? { summary: 'none' } : {}),
    ...(thinking?.['type'] === 'adaptive' ? { mode: 'adaptive' as const } : {}),
    ...(plain ? {} : { native: { dialect: 'openai-chat' as const, value: said } }),
  };
}

function effortOf(value: JsonObject[string]): ReasoningEffort | undefined {
  return effortScale.find((effort) => effort === value);
}

function isOff(
  wire: JsonObject,
  object: JsonObject | undefined,
  thinking: JsonObject | undefined,
): boolean {
  return (
    object?.['enabled'] === false ||
    thinking?.['type'] === 'disabled' ||
    wire['enable_thinking'] === false
  );
}

/** Budgets that stand for an effort, and the reverse (Anthropic's former examples). */
export function effortOfBudget(budgetTokens: number): ReasoningEffort | undefined {
  if (budgetTokens < 0) return undefined;
  if (budgetTokens === 0) return 'none';
  if (budgetTokens <= 2_048) return 'low';
  if (budgetTokens <= 8_192) return 'medium';
  return budgetTokens <= 24_576 ? 'high' : 'xhigh';
}

/** The request's reasoning fields for this upstream. */
export function encodeReasoningRequest(
  request: ChatRequest,
  quirks: ChatQuirks,
  losses: Loss[],
): JsonObject {
  const { reasoning } = request;
  if (!reasoning) return {};
  const native = reasoning.native?.dialect === 'openai-chat' ? reasoning.native.value : undefined;
  if (native && quirks.thinkingField === undefined) return native;
  const field = quirks.thinkingField ?? 'effort';
  const budget = reasoning.budgetTokens;
  const wish = reasoning.effort ?? (budget === undefined ? undefined : effortOfBudget(budget));
  const on = wish === undefined ? budget === -1 || reasoning.mode !== undefined : wish !== 'none';
  const told = wish === undefined && !on ? undefined : on;
  reportLosses(reasoning, field, quirks, losses);
  switch (field) {
    case 'none':
      return {};
    case 'effort':
      return compact({ reasoning_effort: clamp(wish, quirks) });
    case 'thinking':
      return thinkingFields(told, native);
    case 'thinking_and_effort':
      return compact({
        ...thinkingFields(told, native),
        reasoning_effort: on ? clamp(wish, quirks) : undefined,
      });
    case 'enable_thinking':
      return compact({
        enable_thinking: told,
        thinking_budget: on && budget !== undefined && budget > 0 ? budget : undefined,
      });
    case 'reasoning':
      return { reasoning: reasoningObject(reasoning, wish, on, quirks, native) };
  }
}

function clamp(wish: ReasoningEffort | undefined, quirks: ChatQuirks): ReasoningEffort | undefined {
  return wish === undefined ? undefined : nearestEffort(wish, quirks.efforts);
}

function thinkingFields(on: boolean | undefined, native: JsonObject | undefined): JsonObject {
  if (on === undefined) return {};
  return {
    thinking: {
      ...withoutBudget(asObject(native?.['thinking'])),
      type: on ? 'enabled' : 'disabled',
    },
  };
}

function withoutBudget(thinking: JsonObject | undefined): JsonObject {
  const { budget_tokens: _budget, ...rest } = thinking ?? {};
  return rest;
}

function reasoningObject(
  reasoning: ReasoningRequest,
  wish: ReasoningEffort | undefined,
  on: boolean,
  quirks: ChatQuirks,
  native: JsonObject | undefined,
): JsonObject {
  const own = asObject(native?.['reasoning']);
  if (own) return own;
  const budget = reasoning.budgetTokens;
  const exact = reasoning.effort === undefined && budget !== undefined && budget > 0;
  return compact({
    effort: exact ? undefined : clamp(wish, quirks),
    max_tokens: exact ? budget : undefined,
    enabled: !exact && wish === undefined && on ? true : undefined,
    exclude: reasoning.summary === 'none' ? true : undefined,
  });
}

function reportLosses(
  reasoning: ReasoningRequest,
  field: string,
  quirks: ChatQuirks,
  losses: Loss[],
): void {
  const lose = (path: string, reason: string): void =>
    void losses.push({ path, reason, changesMeaning: false });
  const budget = asNumber(reasoning.budgetTokens);
  if (field === 'none') return lose('reasoning', 'this upstream has no control of reasoning');
  if (budget !== undefined && budget > 0 && field !== 'reasoning' && field !== 'enable_thinking') {
    lose(
      'reasoning.budget_tokens',
      'this upstream takes no exact budget of thinking tokens; the nearest effort is asked for',
    );
  }
  const { effort, summary } = reasoning;
  if (effort !== undefined && quirks.efforts && !quirks.efforts.includes(effort)) {
    lose(
      'reasoning.effort',
      `this model takes ${quirks.efforts.join(', ')}; the nearest is asked for`,
    );
  }
  if (asString(summary) !== undefined && summary !== 'none' && field !== 'reasoning') {
    lose('reasoning.summary', 'chat has no field for summaries of thinking');
  }
}
