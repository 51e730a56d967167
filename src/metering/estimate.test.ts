/** The estimate beside real vocabularies: o200k (GPT-4o to GPT-5) and the older cl100k. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { encode as encodeOlder } from 'gpt-tokenizer/encoding/cl100k_base';
import { encode } from 'gpt-tokenizer/encoding/o200k_base';
import type { ChatRequest, Part } from '#canonical';
import { openaiChat } from '#dialects';
import { estimateGeneratedTokens, estimateInputTokens, estimateTextTokens } from './estimate.ts';
import { seededRandom } from '#std';
import { inputBound } from './quote.ts';

function ownFile(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8');
}

/** Text that looks random and is the same every time. */
function digest(index: number, encoding: 'hex' | 'base64'): string {
  return createHash('sha512').update(String(index)).digest(encoding);
}

function lines(count: number, line: (index: number) => string, separator = '\n'): string {
  return Array.from({ length: count }, (_, index) => line(index)).join(separator);
}

/** Texts of people and of programs: the bound must cover each of them. */
const samples: { readonly [name: string]: string } = {
  English:
    'The ferry leaves at a quarter past seven, and whoever misses it has to wait until noon. My grandmother used to say that patience is what remains when the timetable has been lost; she crossed the bay every Tuesday for forty years, with a basket of eggs and a novel.',
  'English, learned':
    'Notwithstanding considerable methodological heterogeneity, subsequent investigations corroborated the hypothesised relationship between precipitation variability and institutional responsiveness.',
  Chinese:
    '春天来了，公园里的樱花开得正好。人们三三两两地坐在草地上聊天、吃东西，孩子们追着风筝跑来跑去。我问他今天为什么没有去上班，他笑着说，这样的天气不应该浪费在办公室里。',
  'Chinese, technical':
    '网关在收到请求后先冻结一笔金额，再把请求转发给上游；上游返回用量之后按价格结算，多余的部分立即退回余额。如果连接中断，则按照已经生成的内容收费，最高不超过冻结的金额。',
  Japanese:
    '昨日、友達と一緒に新しいレストランへ行きました。料理はとても美味しかったですが、少し高いと思いました。来週もう一度行くつもりです。',
  Korean:
    '어제 친구와 함께 새로운 식당에 갔습니다. 음식은 아주 맛있었지만 조금 비싸다고 생각했습니다. 다음 주에 다시 갈 생각입니다.',
  Russian:
    'Вчера мы с друзьями пошли в новый ресторан. Еда была очень вкусной, но немного дорогой. На следующей неделе собираемся пойти снова.',
  Arabic:
    'ذهبت أمس مع أصدقائي إلى مطعم جديد. كان الطعام لذيذًا جدًا ولكنه كان غاليًا بعض الشيء. سنذهب مرة أخرى الأسبوع القادم.',
  Hindi:
    'कल हम दोस्तों के साथ एक नए रेस्तरां में गए थे। खाना बहुत स्वादिष्ट था लेकिन थोड़ा महंगा था। हम अगले हफ्ते फिर जाएंगे।',
  Thai: 'เมื่อวานนี้เราไปร้านอาหารใหม่กับเพื่อน อาหารอร่อยมากแต่แพงไปหน่อย สัปดาห์หน้าเราจะไปอีกครั้ง',
  Amharic: 'ትናንት ከጓደኞቼ ጋር ወደ አዲስ ምግብ ቤት ሄድን። ምግቡ በጣም ጣፋጭ ነበር።',
  Vietnamese:
    'Hôm qua chúng tôi đi ăn ở một nhà hàng mới với bạn bè. Đồ ăn rất ngon nhưng hơi đắt. Tuần sau chúng tôi sẽ đi lại.',
  Polish:
    'Wczoraj poszliśmy z przyjaciółmi do nowej restauracji. Jedzenie było bardzo smaczne, ale trochę za drogie.',
  'German compounds':
    'Die Donaudampfschifffahrtsgesellschaft veröffentlichte eine Rindfleischetikettierungsüberwachungsaufgabenübertragungsverordnung.',
  Finnish:
    'Eilen menimme ystävien kanssa uuteen ravintolaan. Ruoka oli erittäin hyvää, mutta hieman kallista; epäjärjestelmällistyttämättömyydellään.',
  pictures: '😀😃😄😁🎉🚀👩‍👩‍👧‍👦🏳️‍🌈👍🏽🧑🏾‍🚀 ok 🇩🇪🇯🇵',
  TypeScript: ownFile('./rate.ts') + ownFile('./estimate.ts'),
  'minified JavaScript':
    '!function(e,t){"object"==typeof exports?t(exports):(e=e||self).X={}}(this,function(e){"use strict";var n=function(e,t){return e<t?-1:e>t?1:0};function i(e){for(var t=0,r=e.length;t<r;){var o=t+r>>>1;n(e[o],1)<0?t=o+1:r=o}return t}e.b=i});',
  Python:
    'def settle(hold, usage, *, price):\n    """Return the charge."""\n    total = sum(usage[k] * price.get(k, 0) for k in usage)\n    if total > hold.amount:\n        raise ValueError(f"{total} > {hold.amount}")\n    return round(total, 9)\n',
  JSON: ownFile('../catalog/data/anthropic.json').slice(0, 20_000),
  'JSON on one line': JSON.stringify(JSON.parse(ownFile('../catalog/data/xai.json'))),
  Markdown:
    '| a | b |\n|---|---|\n| 1 | 2 |\n\n## Title\n\n- [ ] one\n- [x] two\n\n```sh\nnpm start\n```\n',
  LaTeX:
    '\\frac{\\partial^2 u}{\\partial t^2} = c^2 \\nabla^2 u + \\sum_{i=1}^{n} \\alpha_i \\mathbf{x}_i',
  mathematics: '∀x∈ℝ, ∃y: x²+y²=1 ⇒ ∫₀^∞ e^{−x²}dx = √π/2 ≠ ∑ 1/n² ≈ π²⁄6 ⟹ α≤β≥γ',
  addresses: lines(
    20,
    (index) =>
      `https://www.example.com/articles/2026/11/${index}/title?utm_source=x&id=${index * 7919}`,
  ),
  'rows of numbers': lines(
    60,
    (index) => `${index},${((index * 7919) % 1000) / 10},2026-11-${(index % 28) + 1},item ${index}`,
  ),
  'long numbers': lines(50, (index) => String(index * 123_456_789), ' '),
  'capital letters':
    'INTERNATIONAL CONSIDERATIONS NOTWITHSTANDING, THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG.',
  identifiers:
    'getElementById XMLHttpRequestEventTarget parseHTMLStringToASTNodeList my_very_long_name',
  base64: lines(40, (index) => digest(index, 'base64'), ''),
  hexadecimal: lines(40, (index) => digest(index, 'hex'), ''),
  'random letters': lines(
    100,
    (index) =>
      digest(index, 'base64')
        .replace(/[^a-z]/gi, '')
        .slice(0, 25),
    ' ',
  ),
  'rules and spaces': `${'-'.repeat(200)}\n${'='.repeat(200)}\n${' '.repeat(500)}x\n\n\n\n`,
  'rare ideographs': lines(300, (index) => String.fromCodePoint(0x20_000 + index * 37), ''),
  'control characters': lines(100, (index) => String.fromCharCode(index % 32), ''),
};

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

function requestOf(parts: readonly Part[]): ChatRequest {
  const request = openaiChat.request.decode(
    { model: 'm', messages: [{ role: 'user', content: 'x' }] },
    {},
  );
  return { ...request, messages: [{ role: 'user', parts }] };
}

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

test('what was generated without usage is estimated from its length', () => {
  const text = samples['English'] ?? '';
  const ratio = estimateGeneratedTokens(text.length) / encode(text).length;
  assert.ok(ratio > 0.9 && ratio < 1.4, ratio.toFixed(2));
  assert.equal(estimateGeneratedTokens(0), 0);
});

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

test('text between foreseeable samples does not escape them', () => {
  const dear = '7,'.repeat(512);
  const cheap = 'longish words only '.repeat(54).slice(0, 1024);
  const text = (cheap + dear).repeat(300);
  const whole = estimateInputTokens(requestOf([{ kind: 'text', text }]));
  const sampled = estimateInputTokens(requestOf([{ kind: 'text', text }]), seededRandom(7));
  assert.ok(Math.abs(sampled / whole - 1) < 0.1, `${sampled / whole}`);
});
