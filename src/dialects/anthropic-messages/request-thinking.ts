import type { ChatRequest, ReasoningEffort, ReasoningRequest } from '#canonical';
import { compact, fieldPath, saidFields, type JsonObject } from '#std';
import { lose, type Encoding } from './encoding.ts';
import { effortOrder } from './quirks.ts';

export type Thinking = {
  readonly thinking: JsonObject | undefined;
  readonly effort: string | undefined;
  /** Whether the model will think: sampling parameters and forced tools depend on it. */
  readonly on: boolean;
};

const off: Thinking = { thinking: undefined, effort: undefined, on: false };
const budgetMinimum = 1024;

/** Budgets that stand for efforts where a model takes only budgets. */
const budgetOfEffort: { readonly [effort in ReasoningEffort]: number } = {
  none: 0,
  minimal: 1024,
  low: 1024,
  medium: 4096,
  high: 16_384,
  xhigh: 24_576,
  max: 32_000,
};

/**
 * `thinking` and `output_config.effort`. A client of this dialect gets what it said as long as no
 * quirk says that the model takes another form. `outputTokensMax` bounds budgets: thinking counts
 * into `max_tokens`.
 */
export function encodeThinking(
  request: ChatRequest,
  outputTokensMax: number,
  mustStop: boolean,
  encoding: Encoding,
): Thinking {
  const { reasoning } = request;
  if (!reasoning) return off;
  reportExtensions(reasoning, encoding);
  const form = encoding.quirks.thinking ?? (encoding.own ? undefined : 'adaptive');
  const wanted =
    form === undefined || (encoding.own && isTaken(reasoning, form, encoding))
      ? verbatim(reasoning, encoding)
      : translated(reasoning, form, outputTokensMax, encoding);
  if (!mustStop || wanted.thinking?.['type'] !== 'enabled') return wanted;
  lose(
    encoding,
    'reasoning',
    'thinking is switched off until the open tool loop ends, because its earlier thinking cannot be sent back',
  );
  return { ...off, effort: wanted.effort };
}

/** Whether the model takes what a client of this dialect said as it said it. */
function isTaken(
  reasoning: ReasoningRequest,
  form: 'budget' | 'adaptive' | 'none',
  encoding: Encoding,
): boolean {
  const { budgetTokens, mode, effort } = reasoning;
  const { efforts, thinkingCanDisable } = encoding.quirks;
  if (effort !== undefined && efforts !== undefined && !efforts.includes(effort)) return false;
  if (budgetTokens === 0) return thinkingCanDisable;
  if (form === 'none') return false;
  return form === 'adaptive' ? budgetTokens === undefined : mode === undefined;
}

function reportExtensions(reasoning: ReasoningRequest, encoding: Encoding): void {
  if (encoding.own || !reasoning.extensions) return;
  for (const key of saidFields(reasoning.extensions))
    lose(encoding, fieldPath('reasoning', key), 'not known to Anthropic');
}

/** What a client of this dialect said, unchanged. */
function verbatim(reasoning: ReasoningRequest, encoding: Encoding): Thinking {
  const { budgetTokens, mode, effort } = reasoning;
  const common = { ...display(reasoning, encoding), ...reasoning.extensions };
  const thinking = ((): JsonObject | undefined => {
    if (mode === 'adaptive') return { type: 'adaptive', ...common };
    if (mode === 'between-tools') return { type: 'between_tools', ...common };
    if (budgetTokens === 0) return { type: 'disabled', ...common };
    if (budgetTokens !== undefined)
      return { type: 'enabled', budget_tokens: budgetTokens, ...common };
    return undefined;
  })();
  return { thinking, effort, on: thinking !== undefined && thinking['type'] !== 'disabled' };
}

function display(reasoning: ReasoningRequest, encoding: Encoding): JsonObject {
  const { summary } = reasoning;
  if (summary === undefined) return {};
  if (!encoding.quirks.thinkingDisplay) {
    lose(
      encoding,
      'reasoning.summary',
      'this model does not let the display of thinking be chosen',
    );
    return {};
  }
  return { display: summary === 'none' ? 'omitted' : 'summarized' };
}

function translated(
  reasoning: ReasoningRequest,
  form: 'budget' | 'adaptive' | 'none',
  outputTokensMax: number,
  encoding: Encoding,
): Thinking {
  const { effort, budgetTokens, mode } = reasoning;
  const asksOff =
    budgetTokens === 0 || (effort === 'none' && mode === undefined && budgetTokens === undefined);
  if (form === 'none') {
    if (!asksOff) lose(encoding, 'reasoning', 'this model does not think');
    return off;
  }
  if (asksOff) return disabled(effort, form, encoding);
  if (effort === undefined && budgetTokens === undefined && mode === undefined) return off;
  return form === 'adaptive'
    ? adaptive(reasoning, encoding)
    : budgeted(reasoning, outputTokensMax, encoding);
}

/** Thinking off; a model that cannot switch it off thinks as little as it can. */
function disabled(
  effort: ReasoningEffort | undefined,
  form: 'budget' | 'adaptive',
  encoding: Encoding,
): Thinking {
  if (encoding.quirks.thinkingCanDisable) {
    const kept = effort === 'none' ? undefined : effort;
    return {
      thinking: { type: 'disabled' },
      effort: acceptedEffort(kept, form, encoding),
      on: false,
    };
  }
  lose(encoding, 'reasoning', 'this model cannot stop thinking; the lowest effort is used');
  return { thinking: undefined, effort: acceptedEffort('minimal', form, encoding, true), on: true };
}

function adaptive(reasoning: ReasoningRequest, encoding: Encoding): Thinking {
  const { effort, budgetTokens, mode } = reasoning;
  const fromBudget =
    budgetTokens === undefined || budgetTokens < 0 ? undefined : effortOfBudget(budgetTokens);
  if (budgetTokens !== undefined && budgetTokens > 0) {
    lose(
      encoding,
      'reasoning.budgetTokens',
      'this model takes an effort instead of a budget of thinking tokens',
    );
  }
  const type = mode === 'between-tools' && encoding.own ? 'between_tools' : 'adaptive';
  return {
    thinking: {
      type,
      ...display(reasoning, encoding),
      ...(encoding.own ? reasoning.extensions : {}),
    },
    effort: acceptedEffort(effort ?? fromBudget, 'adaptive', encoding),
    on: true,
  };
}

function effortOfBudget(budgetTokens: number): ReasoningEffort {
  if (budgetTokens <= 2048) return 'low';
  if (budgetTokens <= 8192) return 'medium';
  return budgetTokens <= 24_576 ? 'high' : 'max';
}

/** A budget that leaves at least a quarter of `max_tokens` for the answer. */
function budgeted(
  reasoning: ReasoningRequest,
  outputTokensMax: number,
  encoding: Encoding,
): Thinking {
  const { effort, budgetTokens, mode } = reasoning;
  if (mode !== undefined && encoding.own)
    lose(encoding, 'reasoning.mode', 'this model thinks only within a budget of tokens');
  const stated = budgetTokens !== undefined && budgetTokens > 0;
  const asked = stated ? budgetTokens : budgetOfEffort[effort ?? 'medium'];
  const highest =
    encoding.own && stated ? outputTokensMax - 1 : Math.floor((outputTokensMax * 3) / 4);
  const accepted = acceptedEffort(effort, 'budget', encoding);
  if (highest < budgetMinimum) {
    lose(encoding, 'reasoning', `thinking needs more than ${budgetMinimum} tokens of output`);
    return { ...off, effort: accepted };
  }
  const budget = Math.min(Math.max(asked, budgetMinimum), highest);
  if (stated && budget !== asked)
    lose(
      encoding,
      'reasoning.budgetTokens',
      `changed to ${budget}, within what the model and max_tokens allow`,
    );
  const thinking = compact({
    type: 'enabled',
    budget_tokens: budget,
    ...(encoding.own ? { ...display(reasoning, encoding), ...reasoning.extensions } : {}),
  });
  return { thinking, effort: accepted, on: true };
}

const adaptiveEfforts: readonly string[] = ['low', 'medium', 'high', 'xhigh', 'max'];

/** The nearest effort that the model takes. Models of the budget form take none unless a quirk says so. */
function acceptedEffort(
  effort: ReasoningEffort | undefined,
  form: 'budget' | 'adaptive',
  encoding: Encoding,
  silent = false,
): string | undefined {
  const accepted = encoding.quirks.efforts ?? (form === 'adaptive' ? adaptiveEfforts : []);
  if (effort === undefined || accepted.length === 0) return undefined;
  if (accepted.includes(effort)) return effort;
  const rank = (word: string): number => effortOrder.findIndex((candidate) => candidate === word);
  const known = accepted.filter((word) => rank(word) >= 0);
  if (known.length === 0) return undefined;
  const nearest = known.reduce((best, word) =>
    Math.abs(rank(word) - rank(effort)) < Math.abs(rank(best) - rank(effort)) ? word : best,
  );
  if (!silent)
    lose(
      encoding,
      'reasoning.effort',
      `"${effort}" is sent as "${nearest}", the nearest that the model takes`,
    );
  return nearest;
}
