import assert from 'node:assert/strict';
import { test } from 'node:test';
import { textOf } from './fidelity.ts';
import { countedRounds } from './report.ts';
import { disturbancesOf, rateFor, type Measurement } from './rounds.ts';

test('a leg is asked at the first rate that leaves it room', () => {
  const rates = [1_000, 500, 250];
  const at = (perSecond: number, offered = Infinity): number =>
    rateFor({ rates }, { leg: 'any', perSecond, offered });
  assert.equal(at(2_000), 1_000);
  assert.equal(at(1_000), 500);
  assert.equal(at(100), 250, 'none is low enough, so the lowest');
  assert.equal(at(900, 1_000), 1_000, 'it kept up with all that was offered');
});

function measured(round: number, disturbances: readonly string[]): Measurement {
  return { round, disturbances } as Measurement;
}

test('disturbed rounds are left out for all legs while enough others remain', () => {
  const six = Array.from({ length: 6 }, (_, round) => measured(round, []));
  const all = [...six, measured(5, ['stolen time'])];
  assert.deepEqual(new Set(countedRounds(all).map(({ round }) => round)), new Set([0, 1, 2, 3, 4]));
  const few = [...all, measured(4, ['failures'])];
  assert.equal(countedRounds(few).length, few.length);
});

test('a failure, other programs, stolen time and a late generator are disturbances', () => {
  const lag = (p99: number) => ({ p50: 0, p99, p999: p99, max: p99 });
  const quiet = { failures: 0, othersShare: 0.01, stolenShare: 0, lagMs: lag(1) };
  assert.deepEqual(disturbancesOf(quiet, 0.3), []);
  assert.deepEqual(
    disturbancesOf({ failures: 1, othersShare: 0.2, stolenShare: 0.1, lagMs: lag(9) }, 0.9),
    ['failures', 'other programs', 'stolen time', 'late generator', 'busy generator'],
  );
});

test('the text of a stream is found in every dialect', () => {
  const chat = 'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n';
  const messages =
    'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"b"}}\n\n';
  const responses =
    'data: {"type":"response.output_text.delta","delta":"c"}\n\ndata: {"type":"response.output_text.done","text":"c"}\n\n';
  assert.equal(textOf(chat + messages + responses), 'abc');
});
