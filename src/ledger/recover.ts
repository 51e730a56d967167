/** What happens to holds whose process died, and to holds that outlived their time. */

import type { Clock, NanoUsd } from '#std';
import { nanoUsd, zeroNanoUsd } from '#std';
import type { Engine } from '#store';
import { query } from '#store';
import type { AttemptEntry, HoldEntry } from './books.ts';
import type { AttemptOutcome, Ledger } from './contract.ts';
import type { HoldLives } from './hold-lives.ts';
import { signLane, type NodeLives, type NodeSign } from './node-lives.ts';
import type {
  LookUpAnswer,
  OpenAttempt,
  RecoverOptions,
  RecoverSummary,
  SweepSummary,
} from './recover-contract.ts';
import { atMost, boundOfUnknown } from './resolve.ts';
import { holdSelect, readHold } from './rows.ts';

type Deps = {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly lives: HoldLives;
  readonly nodes: NodeLives;
  readonly ledger: Pick<Ledger, 'settle' | 'void'>;
};

const lookUpConcurrency = 16;
/** Holds resolved at once: enough to fill the batches of the writer, few enough to stay small. */
const voidsAtOnce = 1024;
const sweepMax = 10_000;
const readAtOnce = 500;

export function createRecovery(deps: Deps): Pick<Ledger, 'recover' | 'sweep' | 'abandon'> {
  return {
    recover: (options) => recover(deps, options ?? {}),
    sweep: () => sweep(deps),
    abandon: (requestIds) => abandon(deps, requestIds),
  };
}

/** Holds of this node's earlier lives. Jobs go on: their poller finds them again. */
async function recover(deps: Deps, options: RecoverOptions): Promise<RecoverSummary> {
  const { nodeId, epoch } = deps.engine;
  // The first sign: what dies from here on is known to have lived.
  await silentNodes(deps);
  const dead = await holdsOfNode(deps, { nodeId, epoch: epoch - 1 });
  const lookUp = options.lookUp;
  const askable = lookUp ? dead.filter((hold) => hold.attempts.some(needsLookUp)) : [];
  const asked = new Set(askable);
  const rest = dead.filter((hold) => !asked.has(hold));
  const lost = await voidAll(deps, rest, 'crash');
  const background = lookUp
    ? resolveByLookUp(deps, askable, lookUp, options.concurrency ?? lookUpConcurrency)
    : Promise.resolve({ settled: 0, voided: 0 });
  return {
    holdsFound: dead.length,
    voided: rest.length,
    lostNanoUsd: lost,
    lookUps: askable.length,
    background,
  };
}

/** Holds whose owner has died while the books stayed open. Those that are resolved are left alone. */
async function abandon(
  deps: Deps,
  requestIds: readonly string[],
): Promise<{ readonly voided: number; readonly lostNanoUsd: NanoUsd }> {
  const found = await holdsOf(deps, requestIds);
  return { voided: found.length, lostNanoUsd: await voidAll(deps, found, 'crash') };
}

async function holdsOf({ engine }: Deps, requestIds: readonly string[]): Promise<HoldEntry[]> {
  const found: HoldEntry[] = [];
  for (let start = 0; start < requestIds.length; start += readAtOnce) {
    const some = requestIds.slice(start, start + readAtOnce);
    const places = some.map(() => '?').join(', ');
    const rows = await engine.read(() =>
      query(`${holdSelect} WHERE request_id IN (${places})`, some),
    );
    found.push(...rows.map(readHold));
  }
  return found;
}

async function sweep(deps: Deps): Promise<SweepSummary> {
  const { engine, clock, lives } = deps;
  const silent = await silentNodes(deps);
  const nowMs = clock.now();
  const endedIds = lives.ended(sweepMax);
  // Jobs are ended by whoever asks after them.
  const ended = (await holdsOf(deps, endedIds)).filter(({ lifetime }) => lifetime === 'process');
  const rows = await engine.read(() =>
    query(`${holdSelect} WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ${sweepMax}`, [
      nowMs,
    ]),
  );
  const over = [...ended, ...lives.over(rows.map(readHold), engine)];
  const lost = await voidAll(deps, over, 'expired');
  lives.forget(endedIds);
  const abandoned: HoldEntry[] = [];
  for (const node of silent) abandoned.push(...(await holdsOfNode(deps, node, sweepMax)));
  const lostWithNodes = await voidAll(deps, abandoned, 'crash');
  await engine.submit(forgetKeys, nowMs);
  return {
    expired: over.length,
    silentNodes: silent.map(({ nodeId }) => nodeId),
    abandoned: abandoned.length,
    lostNanoUsd: atMost(lost + lostWithNodes),
  };
}

/** A database with one process needs no signs. */
async function silentNodes({ engine, nodes }: Deps): Promise<readonly NodeSign[]> {
  if (engine.kind !== 'postgres') return [];
  const { nodeId, epoch } = engine;
  return nodes.silent(await engine.submit(signLane, { nodeId, epoch }));
}

/** What a node has held up to one start of it, jobs aside: those go on elsewhere. */
async function holdsOfNode(
  { engine }: Deps,
  { nodeId, epoch }: Pick<NodeSign, 'nodeId' | 'epoch'>,
  most?: number,
): Promise<HoldEntry[]> {
  const limit = most === undefined ? '' : ` LIMIT ${most}`;
  const rows = await engine.read(() =>
    query(
      `${holdSelect} WHERE node_id = ? AND epoch <= ? AND lifetime = 'process' ORDER BY request_id${limit}`,
      [nodeId, epoch],
    ),
  );
  return rows.map(readHold);
}

/** A key of a request that is still open is kept: it must go on to find it. */
const forgetKeys = {
  name: 'ledger-forget',
  *apply(moments: readonly number[]) {
    const nowMs = Math.max(...moments);
    yield {
      run: 'change',
      sql: 'DELETE FROM idempotency WHERE expires_at_ms <= ? AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.request_id = idempotency.request_id)',
      parameters: [nowMs],
    } as const;
    return moments.map(() => true);
  },
};

function needsLookUp(attempt: AttemptEntry): boolean {
  return attempt.canLookUp && attempt.outcome === undefined;
}

async function voidAll(deps: Deps, holds: readonly HoldEntry[], reason: string): Promise<NanoUsd> {
  let lost = 0;
  for (let start = 0; start < holds.length; start += voidsAtOnce) {
    const amounts = await Promise.all(
      holds.slice(start, start + voidsAtOnce).map((hold) => voidUnknown(deps, hold, reason)),
    );
    for (const amount of amounts) lost += amount;
  }
  return atMost(lost);
}

/** The user pays 0; what the calls may cost us at most is written down as lost. */
async function voidUnknown(deps: Deps, hold: HoldEntry, reason: string): Promise<number> {
  const result = await deps.ledger.void({ requestId: hold.requestId, reason, isLost: true });
  return result.ok && !result.repeated ? (result.receipt.losses[0]?.amountNanoUsd ?? 0) : 0;
}

async function resolveByLookUp(
  deps: Deps,
  holds: readonly HoldEntry[],
  lookUp: NonNullable<RecoverOptions['lookUp']>,
  concurrency: number,
): Promise<{ readonly settled: number; readonly voided: number }> {
  let settled = 0;
  let next = 0;
  const work = async (): Promise<void> => {
    for (let hold = holds[next++]; hold; hold = holds[next++]) {
      if (await resolveOne(deps, hold, lookUp)) settled += 1;
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, holds.length) }, work));
  return { settled, voided: holds.length - settled };
}

/** At most one attempt is posted to the user: the last one that the vendor has billed. */
async function resolveOne(
  deps: Deps,
  hold: HoldEntry,
  lookUp: NonNullable<RecoverOptions['lookUp']>,
): Promise<boolean> {
  const unknown: AttemptEntry[] = [];
  const outcomes: AttemptOutcome[] = [];
  let billed:
    | { readonly attemptId: string; readonly answer: Extract<LookUpAnswer, { found: 'billed' }> }
    | undefined;
  for (const attempt of hold.attempts) {
    if (attempt.outcome !== undefined) continue;
    const answer = attempt.canLookUp ? await ask(lookUp, hold, attempt) : unknownAnswer;
    if (answer.found === 'unknown') unknown.push(attempt);
    else if (answer.found === 'never_arrived')
      outcomes.push({
        attemptId: attempt.attemptId,
        outcome: 'not_sent',
        costNanoUsd: zeroNanoUsd,
      });
    else {
      outcomes.push({
        attemptId: attempt.attemptId,
        outcome: 'succeeded',
        costNanoUsd: answer.costNanoUsd,
      });
      billed = { attemptId: attempt.attemptId, answer };
    }
  }
  if (!billed) {
    const { requestId } = hold;
    await deps.ledger.void({ requestId, reason: 'crash', attempts: outcomes, isLost: true });
    return false;
  }
  const losses = boundOfUnknown(unknown);
  const { settlement } = billed.answer;
  await deps.ledger.settle({
    ...settlement,
    requestId: hold.requestId,
    attempts: outcomes,
    postedAttemptId: billed.attemptId,
    losses: [...(settlement.losses ?? []), ...losses],
  });
  return true;
}

const unknownAnswer: LookUpAnswer = { found: 'unknown' };

async function ask(
  lookUp: NonNullable<RecoverOptions['lookUp']>,
  hold: HoldEntry,
  attempt: AttemptEntry,
): Promise<LookUpAnswer> {
  const { outcome: _, ...intent } = attempt;
  const open: OpenAttempt = {
    ...intent,
    requestId: hold.requestId,
    walletId: hold.walletId,
    holdNanoUsd: nanoUsd(hold.amount),
    createdAtMs: hold.createdAtMs,
    context: hold.context,
  };
  try {
    return await lookUp(open);
  } catch {
    return unknownAnswer;
  }
}
