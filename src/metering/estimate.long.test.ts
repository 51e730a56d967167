import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#std';
import { requestOf, samples } from './estimate-rig.ts';
import { estimateInputTokens } from './estimate.ts';

test('a long text that is sampled is estimated as if it were read whole, wherever its dear parts are', () => {
  const seed = 20_261_128;
  const random = seededRandom(seed);
  const all = Object.values(samples);
  const worst = { low: 1, high: 1 };
  for (let round = 0; round < 12; round += 1) {
    let text = '';
    // Blocks of one kind, from a paragraph to half of the text.
    while (text.length < 400_000) {
      const kind = all[Math.floor(random() * all.length)] ?? '';
      text += kind.repeat(1 + Math.floor((random() ** 3 * 200_000) / kind.length));
    }
    const whole = estimateInputTokens(requestOf([{ kind: 'text', text }]));
    const ratio = estimateInputTokens(requestOf([{ kind: 'text', text }]), random) / whole;
    worst.low = Math.min(worst.low, ratio);
    worst.high = Math.max(worst.high, ratio);
  }
  process.stdout.write(
    `sampled ÷ whole: ${worst.low.toFixed(3)} to ${worst.high.toFixed(3)} (seed ${seed})\n`,
  );
  assert.ok(worst.low > 0.85 && worst.high < 1.15, `${worst.low} to ${worst.high}`);
});
