/**
 * Counting without the vendor's tokenizer. Two uses: a bound before the request is sent (never far
 * below the truth, or the ledger pays the difference) and an estimate of what was generated when a
 * vendor never said. Both are linear in the text and allocate nothing.
 */

import type { ChatRequest, MediaPart, Part, Tool } from '#canonical';
import type { Random } from '#std';

/** Kinds of characters that a byte-pair vocabulary treats alike. */
type CharacterKind = 'lower' | 'upper' | 'digit' | 'space' | 'other';

/**
 * About as many tokens as a modern byte-pair vocabulary makes of the text, rather a few more: one per
 * six letters of a word, part of a camelCased name, three digits, mark, or character of a script
 * without spaces. Runs that no language has (keys, encoded data) count by two letters. Measured
 * against o200k and cl100k in the tests.
 */
export function estimateTextTokens(text: string): number {
  return Math.ceil(tokensBetween(text, 0, text.length));
}

/** Of the characters from `start` to before `end`: a piece cut out is read twice as slowly. */
function tokensBetween(text: string, start: number, end: number): number {
  let tokens = 0;
  let previous: CharacterKind = 'other';
  let previousCode = -1;
  /** Characters of the present run of one kind, of the run before it, and of letters in a row. */
  let run = 0;
  let previousRun = 0;
  let letters = 0;
  for (let index = start; index < end; index += 1) {
    const code = text.charCodeAt(index);
    const kind = kindOf(code);
    if (kind !== previous) previousRun = run;
    if (kind === 'lower' && letters === 0) {
      // Plain words with single spaces between them, most of a text, are looked at as such.
      run = lowerRun(text, index, end);
      tokens += wordWeight(run);
      index += run;
      while (
        index + 1 < end &&
        text.charCodeAt(index) === 32 &&
        isLower(text.charCodeAt(index + 1))
      ) {
        previousRun = 1;
        run = lowerRun(text, index + 1, end);
        tokens += wordWeight(run);
        index += run + 1;
      }
      index -= 1;
      letters = run;
      previous = kind;
      previousCode = text.charCodeAt(index);
      continue;
    }
    run = kind === previous ? run + 1 : 1;
    letters = kind === 'lower' || kind === 'upper' ? letters + 1 : 0;
    if (letters > longestWord) tokens += letterBeyondWords;
    else if (kind === 'lower') tokens += lowerWeight(run, previous, previousRun);
    else if (kind === 'upper') tokens += run % 4 === 1 ? 1 : 0;
    else if (kind === 'digit') tokens += digitWeight(run, previousCode);
    else if (kind === 'space') tokens += run === 2 ? 1 : 0;
    else tokens += code < 128 ? markWeight(code, previousCode) : otherWeight(code);
    previous = kind;
    previousCode = code;
  }
  return tokens;
}

/** Small letters in a row from `start` on, where there is one, to before `end`. */
function lowerRun(text: string, start: number, end: number): number {
  let index = start + 1;
  while (index < end && isLower(text.charCodeAt(index))) index += 1;
  return index - start;
}

function isLower(code: number): boolean {
  return code >= 97 && code <= 122;
}

/** A row of small letters that no other letter precedes. */
function wordWeight(letters: number): number {
  if (letters <= 6) return 1;
  if (letters <= longestWord) return 2;
  return 2 + (letters - longestWord) * letterBeyondWords;
}

/** Beyond so many letters in a row it is hardly a word. */
const longestWord = 12;
const letterBeyondWords = 0.7;
/** Rows of one mark merge nearly all, marks side by side (`":{"`) by twos. */
const repeatedMark = 0.25;
const adjacentMark = 0.6;

function kindOf(code: number): CharacterKind {
  if (code >= 97 && code <= 122) return 'lower';
  if (code >= 65 && code <= 90) return 'upper';
  if (code >= 48 && code <= 57) return 'digit';
  return code === 32 ? 'space' : 'other';
}

/** A single capital and the small letters after it are one part of a word. */
function lowerWeight(run: number, previous: CharacterKind, previousRun: number): number {
  if (run === 1) return previous === 'upper' && previousRun === 1 ? 0 : 1;
  return run % 6 === 1 ? 1 : 0;
}

/** Digits go by three; the space before a number is a token of its own. */
function digitWeight(run: number, previousCode: number): number {
  return (run % 3 === 1 ? 1 : 0) + (run === 1 && previousCode === 32 ? 1 : 0);
}

function markWeight(code: number, previousCode: number): number {
  if (code === previousCode) return repeatedMark;
  return code > 32 && previousCode > 32 && previousCode < 128 && kindOf(previousCode) === 'other'
    ? adjacentMark
    : 1;
}

/** Upper ends of ranges of UTF-16 code units, and tokens for one unit of each. */
const weights: readonly (readonly [end: number, tokens: number])[] = [
  // Latin with marks, Greek, Cyrillic, Hebrew, Arabic.
  [0x24f, 0.9],
  [0x8ff, 0.7],
  // Scripts of India and South-East Asia; large vocabularies need a third of it, older ones more.
  [0x109f, 1],
  // Scripts that vocabularies hardly know, written as their bytes.
  [0x1dff, 2.4],
  [0x1eff, 0.9],
  [0x2dff, 1.3],
  [0x33ff, 1],
  [0x4dff, 3],
  [0xabff, 1],
  [0xd7ff, 1],
  // Surrogates: the common pictures lie in three blocks, everything else is written as its bytes.
  [0xd83b, 2],
  [0xd83e, 1],
  [0xdfff, 2],
  [0xffff, 1.5],
];

const weightEnds = weights.map(([end]) => end);
const weightTokens = weights.map(([, tokens]) => tokens);

function otherWeight(code: number): number {
  let index = 0;
  while (code > (weightEnds[index] ?? code)) index += 1;
  return weightTokens[index] ?? 2;
}

/** Roughly what generated text of this size (see `textSize`) costs in tokens, for streams without usage. */
export function estimateGeneratedTokens(generatedSize: number): number {
  return Math.ceil(generatedSize / 3.6);
}

const perMessageTokens = 6;
const requestTokens = 16;
const imageTokens = 3_000;
const toolTokens = 24;

/**
 * Input tokens of the whole request: text and tools by the estimate, media by bounds. With `random`
 * much text is looked at in samples.
 */
export function estimateInputTokens(request: ChatRequest, random?: Random): number {
  const texts: string[] = [];
  let tokens = requestTokens;
  for (const message of request.messages) {
    tokens += perMessageTokens;
    for (const part of message.parts) tokens += partTokens(part, texts);
  }
  for (const tool of request.tools) tokens += toolTokens + toolTextTokens(tool, texts);
  if (request.responseFormat?.kind === 'json-schema')
    texts.push(JSON.stringify(request.responseFormat.schema));
  return tokens + estimateTokensOf(texts, random);
}

/** What a part costs beside its text, which is added to `texts`. */
function partTokens(part: Part, texts: string[]): number {
  switch (part.kind) {
    case 'text':
    case 'refusal':
    case 'reasoning':
      texts.push(part.text);
      return part.state ? Math.ceil(part.state.value.length / 4) : 0;
    case 'tool-call':
      texts.push(part.name, part.input);
      return 12;
    case 'tool-result':
      return part.parts.reduce((sum, inner) => sum + partTokens(inner, texts), 12);
    case 'native':
      texts.push(JSON.stringify(part.value));
      return 0;
    case 'media':
      return mediaTokens(part, texts);
  }
}

/** More characters than this are sampled: in every 256th of them one window, wherever chance puts it. */
const wholeLengthMax = 65_536;
const sampleCount = 256;
const sampleLength = 256;

/** {@link estimateTextTokens} of all texts together; with `random` of samples where they are long. */
export function estimateTokensOf(texts: readonly string[], random: Random | undefined): number {
  let length = 0;
  for (const text of texts) length += text.length;
  if (random !== undefined && length > wholeLengthMax) return sampleTokens(texts, length, random);
  let tokens = 0;
  for (const text of texts) tokens += estimateTextTokens(text);
  return tokens;
}

/**
 * {@link estimateTextTokens} of much text by 65,536 of its `length` characters. A place for every stretch of it keeps
 * mixed texts right; chance keeps it from being foreseen, so that nobody can hide dear text between the samples.
 */
function sampleTokens(texts: readonly string[], length: number, random: Random): number {
  const stretch = length / sampleCount;
  let tokens = 0;
  let index = 0;
  let textStart = 0;
  for (let sample = 0; sample < sampleCount; sample += 1) {
    let at = Math.floor(sample * stretch + random() * (stretch - sampleLength));
    const end = at + sampleLength;
    while (at < end && index < texts.length) {
      const text = texts[index] ?? '';
      if (at < textStart + text.length) {
        const last = Math.min(end, textStart + text.length);
        tokens += tokensBetween(text, at - textStart, last - textStart);
        at = last;
      }
      if (at < end) {
        textStart += text.length;
        index += 1;
      }
    }
  }
  return Math.ceil((tokens * stretch) / sampleLength);
}

function mediaTokens(part: MediaPart, texts: string[]): number {
  const { source } = part;
  if (source.kind === 'text') {
    texts.push(source.text);
    return 0;
  }
  const bytes = source.kind === 'data' ? source.data.length * 0.75 : undefined;
  switch (part.media) {
    case 'image':
      return imageTokens;
    // Compressed speech is 2 to 16 kB a second and at most 32 tokens a second.
    case 'audio':
      return bytes === undefined ? 20_000 : Math.ceil(bytes / 60) + 50;
    case 'video':
      return bytes === undefined ? 100_000 : Math.ceil(bytes / 100) + 300;
    // A page is rarely below 3 kB and costs at most about 3,000 tokens as text and picture.
    case 'document':
      return bytes === undefined ? 100_000 : Math.ceil(bytes / 4) + 1_500;
  }
}

function toolTextTokens(tool: Tool, texts: string[]): number {
  switch (tool.kind) {
    case 'function':
      texts.push(tool.description ?? '', JSON.stringify(tool.parameters ?? {}));
      return 0;
    case 'custom':
      texts.push(tool.description ?? '', JSON.stringify(tool.format ?? {}));
      return 0;
    case 'web-search':
    case 'native':
      return 500;
  }
}
