/** Texts to estimate, and a request that holds them. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ChatRequest, Part } from '#canonical';
import { openaiChat } from '#dialects';

function ownFile(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8');
}

/** Text that looks random and is the same every time. */
function digest(index: number, encoding: 'hex' | 'base64'): string {
  return createHash('sha512').update(String(index)).digest(encoding);
}

export function lines(count: number, line: (index: number) => string, separator = '\n'): string {
  return Array.from({ length: count }, (_, index) => line(index)).join(separator);
}

/** Texts of people and of programs: the bound must cover each of them. */
export const samples: { readonly [name: string]: string } = {
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

export function requestOf(parts: readonly Part[]): ChatRequest {
  const request = openaiChat.request.decode(
    { model: 'm', messages: [{ role: 'user', content: 'x' }] },
    {},
  );
  return { ...request, messages: [{ role: 'user', parts }] };
}
