import assert from 'node:assert/strict';
import { test } from 'node:test';
import { baselines } from './baselines.ts';
import { summarise } from './measurement.ts';
import { ours } from './ours.ts';
import { faultAfterFault, scenarios } from './scenarios.ts';
import { World } from './world.ts';

function scenario(id: string) {
  const found = scenarios.find((one) => one.id === id);
  assert.ok(found !== undefined);
  return found;
}

test('there are ten scenarios and eight baselines', () => {
  assert.equal(scenarios.length, 10);
  assert.equal(Object.keys(baselines).length, 8);
});

test('the same seed gives the same run, another seed another', () => {
  const run = (seed: number) => summarise([new World(scenario('B'), ours('none'), seed).run()]);
  assert.deepEqual(run(1), run(1));
  assert.notDeepEqual(run(1), run(2));
});

test('a 429 taken for an illness loses requests that the router serves', () => {
  const sound = summarise([new World(scenario('E'), ours('none'), 1).run()]);
  const planted = summarise([new World(scenario('E'), ours('cooldown-on-429'), 1).run()]);
  assert.ok(sound.successPercent > 99.9);
  assert.ok(planted.successPercent < 99.9, `${planted.successPercent}`);
});

test('one fault after another leaves no request without an answer while others are well', () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const { totals } = new World(faultAfterFault, ours('none'), seed).run();
    assert.equal(totals.requests - totals.successes, 0, `seed ${seed} of ${totals.requests}`);
  }
});
