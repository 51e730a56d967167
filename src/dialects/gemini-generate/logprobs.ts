import type { TokenLogprob } from '#canonical';
import { asNumber, asObject, asObjects, asString, type JsonObject, type JsonValue } from '#std';

/** `logprobsResult` of a candidate. */
export function readLogprobs(value: JsonValue | undefined): readonly TokenLogprob[] | undefined {
  const result = asObject(value);
  if (!result) return undefined;
  const tops = asObjects(result['topCandidates']);
  return asObjects(result['chosenCandidates']).map((chosen, index) => {
    const top = asObjects(tops[index]?.['candidates']).map(readToken);
    return { ...readToken(chosen), ...(top.length > 0 ? { top } : {}) };
  });
}

function readToken(token: JsonObject): { readonly token: string; readonly logprob: number } {
  return { token: asString(token['token']) ?? '', logprob: asNumber(token['logProbability']) ?? 0 };
}

export function writeLogprobs(tokens: readonly TokenLogprob[] | undefined): JsonObject | undefined {
  if (!tokens || tokens.length === 0) return undefined;
  const chosenCandidates = tokens.map(({ token, logprob }) => ({ token, logProbability: logprob }));
  if (!tokens.some(({ top }) => top && top.length > 0)) return { chosenCandidates };
  const topCandidates = tokens.map(({ top }) => ({
    candidates: (top ?? []).map(({ token, logprob }) => ({ token, logProbability: logprob })),
  }));
  return { chosenCandidates, topCandidates };
}
