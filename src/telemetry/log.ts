/**
 * One JSON object a line on standard error. Fields are an allow-list by construction: callers pass
 * names and numbers, never headers, bodies or keys. Strings are cut so that no line grows without bound.
 */

export type LogLevel = 'debug' | 'info' | 'warning' | 'error';
export type LogFields = { readonly [name: string]: string | number | boolean | null | undefined };
export type Log = (level: LogLevel, event: string, fields?: LogFields) => void;

const order: { readonly [level in LogLevel]: number } = { debug: 0, info: 1, warning: 2, error: 3 };
const textLengthMax = 500;

export function createLog(options: {
  readonly level: LogLevel;
  readonly now: () => number;
  readonly write: (line: string) => void;
}): Log {
  const least = order[options.level];
  return (level, event, fields = {}) => {
    if (order[level] < least) return;
    const line: Record<string, unknown> = {
      time: new Date(options.now()).toISOString(),
      level,
      event,
    };
    for (const [name, value] of Object.entries(fields)) {
      if (value === undefined) continue;
      line[name] = typeof value === 'string' ? redact(value).slice(0, textLengthMax) : value;
    }
    options.write(`${JSON.stringify(line)}\n`);
  };
}

/** Keys that slipped into a text, by the forms vendors and we give them. */
export function redact(text: string): string {
  return text
    .replace(
      /\b(sk|pk|rk|op|gsk|csk|xai|hf|fw|r8|tgp|pplx|nvapi|key|api|tok)[-_][A-Za-z0-9_-]{12,}/g,
      '$1-…',
    )
    .replace(/\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g, 'AKIA…')
    .replace(/\bAIza[0-9A-Za-z_-]{20,}/g, 'AIza…')
    .replace(/\b(Bearer|Basic)\s+[^\s"']{8,}/gi, '$1 …')
    .replace(/(:\/\/[^\s:/@]*):[^\s@/]+@/g, '$1:…@')
    .replace(/([?&](?:key|api_key|token|signature)=)[^&\s"']+/gi, '$1…')
    .replace(/\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*/g, '…');
}

export const silentLog: Log = () => {};
