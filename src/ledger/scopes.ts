import type { BudgetScope, BudgetWindow, HeldScope } from './contract.ts';

const dayMs = 86_400_000;

/** Start of the calendar window in UTC that contains the moment; weeks start on Monday. */
export function windowStartMs(window: BudgetWindow, nowMs: number): number {
  if (window === 'total') return 0;
  const day = Math.floor(nowMs / dayMs) * dayMs;
  if (window === 'daily') return day;
  if (today.day !== day) today = startsOf(day);
  return today[window];
}

/** Nearly all questions are of the same day. */
let today = startsOf(0);

function startsOf(day: number): { day: number; weekly: number; monthly: number } {
  const date = new Date(day);
  return {
    day,
    weekly: day - ((date.getUTCDay() + 6) % 7) * dayMs,
    monthly: Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1),
  };
}

/** `kind window start id`: the id last, because only it may hold any printable character. */
export function scopeKey(
  scope: Pick<BudgetScope, 'kind' | 'id' | 'window'>,
  nowMs: number,
): string {
  return `${scope.kind} ${scope.window} ${windowStartMs(scope.window, nowMs)} ${scope.id}`;
}

export function heldScope(key: string): HeldScope {
  const [kind = '', window = 'total', start = '0', ...rest] = key.split(' ');
  return { kind, id: rest.join(' '), window: window as BudgetWindow, windowStartMs: Number(start) };
}
