/** Clients of the kill test: lanes that ask one thing after another until their server is dead. */

import { nanoUsd, type JsonObject, type NanoUsd, type Random } from '#std';
import { clientDialects, toldBill } from '../scenarios/money-dialects.ts';

/** What the clients saw, over all lives of the server. */
export class Witness {
  /** Receipt → charge, for answers that were seen to their end. */
  readonly acknowledged = new Map<string, NanoUsd>();
  asked = 0;
  aborted = 0;
  refused = 0;
  unbilled = 0;
  /** Answers that broke off without a word. */
  broken = 0;
  /** Refusals of ours that do not say what is wrong, or not when to come again. */
  unclear = 0;
  longestMs = 0;
  /** How often each refusal was heard, by status and code. */
  readonly refusals: Record<string, number> = {};

  summary() {
    const { asked, aborted, refused, broken, unbilled, unclear, longestMs, refusals } = this;
    return { asked, aborted, refused, broken, unbilled, unclear, longest_ms: longestMs, refusals };
  }

  hearRefusal(status: number, text: string, retryAfter: string | null): void {
    const known =
      /[a-z]+_(?:unavailable|error|balance|failed|cut|down|exhausted|limited|channel|exceeded)\b/g;
    const said = text.match(known) ?? [];
    const code = said.find((word) => word !== 'server_error' && word !== 'api_error') ?? '';
    const name = `${status} ${code}`;
    this.refusals[name] = (this.refusals[name] ?? 0) + 1;
    if (code === 'internal_error' || (status >= 500 && retryAfter === null)) {
      this.unclear += 1;
      if (this.unclear <= 5) console.error('unclear:', status, text.slice(-600));
    }
  }
}

export type LaneOptions = {
  readonly url: string;
  readonly key: string;
  readonly models: readonly string[];
  readonly random: Random;
  readonly witness: Witness;
  readonly abortShare: number;
  /** Set when the server is about to die. */
  readonly over: { now: boolean };
};

/** One request after another. Every failure is the server's death or was asked for. */
export async function runLane(options: LaneOptions): Promise<void> {
  while (!options.over.now) {
    const began = performance.now();
    try {
      await askOnce(options);
    } catch {
      // The server is gone, or this client left.
    }
    const took = Math.round(performance.now() - began);
    options.witness.longestMs = Math.max(options.witness.longestMs, took);
    await new Promise((turn) => setTimeout(turn, 5));
  }
}

async function askOnce({
  url,
  key,
  models,
  random,
  witness,
  abortShare,
}: LaneOptions): Promise<void> {
  const dialect = clientDialects[Math.floor(random() * clientDialects.length)];
  const model = models[Math.floor(random() * models.length)];
  if (!dialect || model === undefined) return;
  const stream = random() < 0.8;
  const question = `Tell ${Math.floor(random() * 1e9)} in ${8 + Math.floor(random() * 30)} words`;
  const leave = new AbortController();
  const leaves = random() < abortShare;
  const timer = leaves ? setTimeout(() => leave.abort(), random() * 500) : undefined;
  witness.asked += 1;
  if (leaves) witness.aborted += 1;
  try {
    const body: JsonObject = dialect.body(model, question, stream, 200);
    const response = await fetch(url + dialect.path(model, stream), {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: leave.signal,
    });
    const text = await response.text();
    if (response.status !== 200 || /"error"|response\.failed/.test(text))
      witness.hearRefusal(response.status, text, response.headers.get('retry-after'));
    if (response.status !== 200) witness.refused += 1;
    else note(witness, text, (name) => response.headers.get(name));
  } catch (error) {
    if (!leave.signal.aborted) witness.broken += 1;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** `text()` rejects when the connection breaks, so what comes here was seen to its end. */
function note(witness: Witness, text: string, header: (name: string) => string | null): void {
  const bill = toldBill(text) ?? headerBill(header);
  if (bill) witness.acknowledged.set(bill.receiptId, nanoUsd(Math.round(bill.costUsd * 1e9)));
  else if (!/"error"|response\.failed/.test(text)) witness.unbilled += 1;
}

/** A whole answer whose vendor told no usage has its bill in the headers alone. */
function headerBill(
  header: (name: string) => string | null,
): { readonly costUsd: number; readonly receiptId: string } | undefined {
  const receiptId = header('x-manifold-receipt');
  const cost = header('x-manifold-cost-usd');
  return receiptId !== null && cost !== null ? { costUsd: Number(cost), receiptId } : undefined;
}
