/** Random scripts for `ledger-script.ts`, and their comparison with the naive model. */

import fc from 'fast-check';
import { extraBound, LedgerModel } from './ledger-model.ts';
import { runLine, type LedgerFixture } from './ledger-script.ts';

const wallet = fc.constantFrom('alice', 'bob', 'carol');
const request = fc.integer({ min: 0, max: 60 }).map((index) => `r${index}`);
const event = fc.integer({ min: 0, max: 25 });
const amount = fc.integer({ min: 1, max: 400 });

const reserveLine = fc
  .record({
    request,
    wallet,
    amount: fc.integer({ min: 0, max: 300 }),
    minimum: fc.option(fc.integer({ min: 0, max: 40 }), { nil: undefined }),
    limit: fc.option(fc.integer({ min: 50, max: 900 }), { nil: undefined }),
    idempotency: fc.option(
      fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 1 })),
      { nil: undefined },
    ),
    bound: fc.option(fc.integer({ min: 1, max: 90 }), { nil: undefined }),
    job: fc.boolean(),
    ttl: fc.constantFrom(1000, 600_000, 200_000_000),
  })
  .map((each) =>
    [
      `reserve ${each.request} ${each.wallet} ${each.amount} ttl=${each.ttl}`,
      ...(each.minimum === undefined ? [] : [`min=${Math.min(each.minimum, each.amount)}`]),
      // A scope belongs to one wallet.
      ...(each.limit === undefined ? [] : [`key:k_${each.wallet}:daily=${each.limit}`]),
      ...(each.idempotency === undefined
        ? []
        : [`idem=k${each.idempotency[0]}/h${each.idempotency[1]}`]),
      ...(each.bound === undefined ? [] : [`attempt=a0_${each.request}/c1/${each.bound}`]),
      ...(each.job ? ['job'] : []),
    ].join(' '),
  );

/** Lines are grouped into bursts; the lines of a burst are submitted in one turn of the event loop. */
const changeLine = fc.oneof(
  { weight: 9, arbitrary: reserveLine },
  {
    weight: 7,
    arbitrary: fc
      .tuple(request, fc.integer({ min: 0, max: 350 }))
      .map(([id, charge]) => `settle ${id} ${charge}`),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(request, fc.constantFrom('', ' keep'))
      .map(([id, keep]) => `void ${id}${keep}`),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(request, fc.integer({ min: 1, max: 3 }))
      .map(([id, index]) => `attempt ${id} a${index}_${id} c2 ${extraBound}`),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(request, fc.integer({ min: 1, max: 4 }), amount)
      .map(([id, sequence, more]) => `extend ${id} ${sequence} ${more}`),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(wallet, fc.constantFrom('paid', 'paid', 'gift', 'demo', 'invite'), amount, event)
      .map(
        ([id, kind, more, index]) =>
          `credit ${id} ${kind} ${more} e${String(index).padStart(2, '0')}`,
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(wallet, event, event)
      .map(
        ([id, lot, index]) => `refund ${id} lot_test~e${String(lot).padStart(2, '0')} f${index}`,
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(wallet, fc.integer({ min: -200, max: 100 }), event)
      .map(([id, more, index]) => `adjust ${id} ${more === 0 ? 1 : more} x${index}`),
  },
);

const soloLine = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom(1, 1000, 700_000, 50_000_000, 90_000_000).map((ms) => `clock ${ms}`),
  },
  { weight: 1, arbitrary: fc.constant('restart') },
  { weight: 2, arbitrary: fc.constantFrom('recover', 'sweep') },
  { weight: 2, arbitrary: wallet.map((id) => `balance ${id}`) },
  { weight: 1, arbitrary: wallet.map((id) => `lots ${id}`) },
  { weight: 1, arbitrary: wallet.map((id) => `budget k_${id} daily`) },
);

export function programs(lengthMax: number): fc.Arbitrary<readonly (readonly string[])[]> {
  const burst = fc.array(changeLine, { minLength: 1, maxLength: 12 });
  return fc.array(
    fc.oneof(
      { weight: 3, arbitrary: burst },
      { weight: 2, arbitrary: soloLine.map((line) => [line]) },
    ),
    {
      maxLength: lengthMax,
      size: 'max',
    },
  );
}

/** Throws at the first line where ledger and model differ; returns the number of lines. */
export async function compareWithModel(
  fixture: LedgerFixture,
  program: readonly (readonly string[])[],
): Promise<number> {
  const model = new LedgerModel(fixture.clock.now());
  let lines = 0;
  for (const burst of program) {
    const expected = burst.map((line) => model.run(line));
    const actual = await Promise.all(burst.map((line) => runLine(fixture, line)));
    lines += burst.length;
    for (const [index, line] of burst.entries()) {
      if (actual[index] !== expected[index])
        throw new Error(`${line}\n  ledger: ${actual[index]}\n  model:  ${expected[index]}`);
    }
  }
  for (const line of ['balance alice', 'balance bob', 'balance carol', 'lots alice', 'verify']) {
    const actual = await runLine(fixture, line);
    if (actual !== model.run(line))
      throw new Error(`at the end: ${line}\n  ledger: ${actual}\n  model:  ${model.run(line)}`);
  }
  return lines;
}
