/**
 * Streams cut at random places with `streaming.continue_cut_answers` on, read by the official SDKs: either
 * the whole answer arrives, each word once, or what arrived is a beginning of it and the SDK tells an error.
 */

import type { Rule } from '#simulator';
import { seededRandom, type Random } from '#std';
import { startRig, type Rig } from '../scenarios/rig.ts';
import { readers, readOnce, type Reader } from './failover-runs.ts';

export type ContinuedCuts = {
  readonly dialect: string;
  readonly cuts: number;
  /** Answers that were cut and arrived whole. */
  readonly whole: number;
  /** Answers that ended as an error. */
  readonly errors: number;
  /** Ended without an error and before the end of the text. */
  readonly silent: number;
  /** Text that is not a beginning of the whole text. */
  readonly wrongTexts: number;
  /** Answers of which more than one upstream gave a part. */
  readonly continued: number;
  /** Receipts that name no attempt, or charge half as much again as for the answer without a cut. */
  readonly wrongReceipts: number;
  readonly firstProblem: string | undefined;
};

/** How the upstream that goes on behaves, by lot: as asked, saying the last words again, beginning anew. */
const manners = [undefined, undefined, 'overlapping', 'ignored'] as const;

function rulesOf(random: Random): { readonly rules: readonly Rule[]; readonly manner: string } {
  const manner = manners[Math.floor(random() * manners.length)];
  const continuing = manner === undefined ? {} : { prefill: manner };
  const cut = { cut_at_byte: 900 + Math.floor(random() * 15_000), ...continuing };
  const rules = [{ fault: cut, times: 1 }, { fault: continuing }];
  return { rules, manner: manner ?? 'continued' };
}

/** `requests` answers in each dialect, nearly all of them cut. */
export async function continuedCuts(
  requests: number,
  seed: number,
): Promise<readonly ContinuedCuts[]> {
  const results: ContinuedCuts[] = [];
  for (const reader of readers) {
    const rig = await startRig({
      vendors: [
        { id: 'one', channel: { quirks: { prefill: 'partial' } } },
        { id: 'two', channel: { quirks: { prefill: 'partial' } } },
      ],
      balanceUsd: 1_000,
      config: { streaming: { continue_cut_answers: true } },
    });
    try {
      results.push(await cutsOf(rig, reader, requests, seed));
    } finally {
      await rig.close();
    }
  }
  return results;
}

async function cutsOf(
  rig: Rig,
  reader: Reader,
  requests: number,
  seed: number,
): Promise<ContinuedCuts> {
  const random = seededRandom(seed);
  const expected = await readOnce(rig, reader);
  const charged = await lastReceipt(rig);
  const counts = { cuts: 0, whole: 0, errors: 0, silent: 0, wrongTexts: 0 };
  let continued = 0;
  let wrongReceipts = 0;
  let firstProblem: string | undefined;
  for (let index = 0; index < requests; index += 1) {
    const { rules, manner } = rulesOf(random);
    for (const { script } of Object.values(rig.vendors)) script.replace(rules);
    const { text, error } = await readOnce(rig, reader);
    const receipt = await lastReceipt(rig);
    // The place lay behind the end of this dialect's stream.
    if (error === undefined && receipt.attempts === 1 && text === expected.text) continue;
    counts.cuts += 1;
    if (error !== undefined) counts.errors += 1;
    else if (text === expected.text) counts.whole += 1;
    else counts.silent += 1;
    const isWrong = !expected.text.startsWith(text);
    if (isWrong) counts.wrongTexts += 1;
    if (error === undefined && receipt.attempts > 1) continued += 1;
    const isDear = receipt.charge > 1.5 * charged.charge;
    if (isDear || receipt.attempts === 0) wrongReceipts += 1;
    if (isWrong || isDear || (error === undefined && text !== expected.text))
      firstProblem ??= `${manner}: ${text.length} of ${expected.text.length} characters, ${error ?? 'no error'}, ${JSON.stringify(receipt)} instead of ${charged.charge}`;
  }
  return { dialect: reader.dialect, ...counts, continued, wrongReceipts, firstProblem };
}

async function lastReceipt(
  rig: Rig,
): Promise<{ readonly charge: number; readonly attempts: number }> {
  const { receipts } = await rig.books.ledger.statement({ walletId: rig.walletId, limit: 1 });
  const [receipt] = receipts;
  return { charge: receipt?.chargeNanoUsd ?? 0, attempts: receipt?.attempts.length ?? 0 };
}
