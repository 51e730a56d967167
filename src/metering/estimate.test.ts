/** The estimate beside real vocabularies: o200k (GPT-4o to GPT-5) and the older cl100k. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode as encodeOlder } from 'gpt-tokenizer/encoding/cl100k_base';
import { encode } from 'gpt-tokenizer/encoding/o200k_base';
import { lines, requestOf, samples } from './estimate-rig.ts';
import { estimateGeneratedTokens, estimateInputTokens, estimateTextTokens } from './estimate.ts';
import { seededRandom, textSize } from '#std';
import { inputBound } from './quote.ts';

test('the bound covers what the vocabulary makes of every sample, and the estimate stays near', () => {
  const rows: string[] = [];
  for (const [name, text] of Object.entries(samples)) {
    const truth = encode(text).length;
    const older = encodeOlder(text).length;
    const estimate = estimateTextTokens(text);
    rows.push(
      `${name.padEnd(22)} ${String(text.length).padStart(6)} characters, o200k ${String(truth).padStart(5)} cl100k ${String(older).padStart(5)} estimate ${String(estimate).padStart(5)} (×${(estimate / truth).toFixed(2)}) bound ×${(inputBound(estimate) / truth).toFixed(2)}`,
    );
    assert.ok(
      truth <= inputBound(estimate),
      `${name}: ${truth} tokens, bound ${inputBound(estimate)}`,
    );
  }
  process.stdout.write(`${rows.join('\n')}\n`);
});

test('on prose, code and data the estimate is between the truth and half above it', () => {
  const ordinary = [
    'English',
    'Chinese',
    'Chinese, technical',
    'TypeScript',
    'JSON',
    'JSON on one line',
    'Python',
    'Japanese',
  ];
  for (const name of ordinary) {
    const text = samples[name] ?? '';
    const ratio = estimateTextTokens(text) / encode(text).length;
    assert.ok(ratio >= 0.95 && ratio <= 1.6, `${name}: ${ratio.toFixed(2)}`);
  }
});

test('text made to be expensive goes past the bound by a known factor at most', () => {
  // Ideographs and syllables drawn at random are two to three tokens each; no text of a person is.
  const hostile: readonly (readonly [first: number, count: number])[] = [
    [0x4e00, 20_900],
    [0xac00, 11_100],
    [0x3400, 6_500],
  ];
  for (const [first, count] of hostile) {
    const text = lines(300, (index) => String.fromCharCode(first + ((index * 7919) % count)), '');
    const factor = encode(text).length / inputBound(estimateTextTokens(text));
    assert.ok(factor < 1.8, `from ${first.toString(16)}: ${factor.toFixed(2)}`);
  }
});

test('a megabyte is estimated in the time of one pass', () => {
  const text = 'The quick brown fox, 123 jumps. '.repeat(32_768);
  assert.equal(estimateTextTokens(''), 0);
  assert.equal(estimateTextTokens(text), estimateTextTokens(text.slice(0, text.length / 2)) * 2);
});

test('pictures, sound and documents count by bounds of their size', () => {
  const data = (bytes: number): { kind: 'data'; data: string } => ({
    kind: 'data',
    data: 'A'.repeat((bytes * 4) / 3),
  });
  const tokens = (media: 'image' | 'audio' | 'document', bytes: number): number =>
    estimateInputTokens(requestOf([{ kind: 'media', media, source: data(bytes) }]));
  assert.ok(tokens('image', 3_000_000) >= 1_500);
  // A minute of uncompressed speech (16 kHz, 16 bit) is 1.92 MB and at most 32 tokens a second.
  assert.ok(tokens('audio', 1_920_000) >= 60 * 32);
  // The same minute as 16 kB/s of compressed sound.
  assert.ok(tokens('audio', 60 * 16_000) >= 60 * 32);
  assert.ok(tokens('document', 300_000) >= 20 * 3_000);
});

test('tools and schemas are counted with the text', () => {
  const plain = requestOf([{ kind: 'text', text: 'What is the weather?' }]);
  const tool = {
    kind: 'function',
    name: 'get_weather',
    description: 'The weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } } },
  } as const;
  const more = estimateInputTokens({ ...plain, tools: [tool] }) - estimateInputTokens(plain);
  assert.ok(
    more >= encode(JSON.stringify(tool.parameters)).length + encode(tool.description).length,
  );
});

const otherScripts = [
  'Chinese',
  'Chinese, technical',
  'Japanese',
  'Korean',
  'Russian',
  'Arabic',
  'Hindi',
  'Thai',
  'Amharic',
  'pictures',
  'rare ideographs',
];

test('what was generated without usage is estimated near the truth in every script', () => {
  const ordinary = ['English', 'Vietnamese', 'Polish', 'TypeScript', 'Python', 'JSON'];
  for (const name of [...ordinary, ...otherScripts]) {
    const text = samples[name] ?? '';
    const ratio = estimateGeneratedTokens(textSize(text)) / encode(text).length;
    assert.ok(ratio > 0.9 && ratio < 1.4, `${name}: ${ratio.toFixed(2)}`);
  }
  assert.equal(estimateGeneratedTokens(0), 0);
});

test('what was generated in other scripts is estimated below what an older vocabulary makes of it', () => {
  for (const name of otherScripts) {
    const text = samples[name] ?? '';
    const ratio = estimateGeneratedTokens(textSize(text)) / encodeOlder(text).length;
    assert.ok(ratio > 0.35 && ratio < 1.01, `${name}: ${ratio.toFixed(2)}`);
  }
});

test('text between foreseeable samples does not escape them', () => {
  const dear = '7,'.repeat(512);
  const cheap = 'longish words only '.repeat(54).slice(0, 1024);
  const text = (cheap + dear).repeat(300);
  const whole = estimateInputTokens(requestOf([{ kind: 'text', text }]));
  const sampled = estimateInputTokens(requestOf([{ kind: 'text', text }]), seededRandom(7));
  assert.ok(Math.abs(sampled / whole - 1) < 0.1, `${sampled / whole}`);
});

test('a long conversation in samples costs what it costs as a whole', () => {
  const random = seededRandom(11);
  const kinds = Object.values(samples);
  for (const lengthMax of [20, 300, 5_000, 200_000]) {
    const messages = [];
    for (let length = 0; length < 400_000;) {
      const kind = kinds[Math.floor(random() * kinds.length)] ?? '';
      const wanted = Math.floor(random() * lengthMax);
      const text = kind.repeat(Math.ceil(wanted / kind.length)).slice(0, wanted);
      length += text.length;
      messages.push({ role: 'user' as const, parts: [{ kind: 'text' as const, text }] });
    }
    const request = { ...requestOf([]), messages };
    const ratio = estimateInputTokens(request, random) / estimateInputTokens(request);
    assert.ok(Math.abs(ratio - 1) < 0.1, `texts up to ${lengthMax}: ${ratio.toFixed(3)}`);
  }
});

test('text that is hardly longer than the samples is counted to its end', () => {
  const texts = ['', 'a word '.repeat(9_400), '', 'b', ''];
  const request = requestOf(texts.map((text) => ({ kind: 'text' as const, text })));
  const ratio = estimateInputTokens(request, seededRandom(3)) / estimateInputTokens(request);
  assert.ok(Math.abs(ratio - 1) < 0.02, `${ratio}`);
});
