/**
 * Counting without the vendor's tokenizer. Two uses: a bound before the request is sent (never far
 * below the truth, or the ledger pays the difference) and an estimate of what was generated when a
 * vendor never said. Both are linear in the text and allocate nothing.
 */

import type { ChatRequest, MediaPart, Part, Tool } from '#canonical';

/**
 * About as many tokens as a modern byte-pair vocabulary makes of the text: one per six letters of a
 * word, three digits, punctuation mark, or other character. Measured against o200k in the tests.
 */
export function estimateTextTokens(text: string): number {
  let tokens = 0;
  let letters = 0;
  let numerals = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if ((code >= 97 && code <= 122) || (code >= 65 && code <= 90)) {
      if (letters % 6 === 0) tokens += 1;
      letters += 1;
      numerals = 0;
      continue;
    }
    letters = 0;
    if (code >= 48 && code <= 57) {
      if (numerals % 3 === 0) tokens += 1;
      numerals += 1;
      continue;
    }
    numerals = 0;
    if (code === 32) continue;
    tokens += code < 128 || code >= 0x2e80 ? 1 : 0.7;
  }
  return Math.ceil(tokens);
}

/** Roughly what generated text of so many characters costs in tokens, for streams without usage. */
export function estimateGeneratedTokens(characters: number): number {
  return Math.ceil(characters / 3.6);
}

const perMessageTokens = 6;
const requestTokens = 16;
const imageTokens = 3_000;
const toolTokens = 24;

/** Input tokens of the whole request: text and tools by the estimate, media by bounds. */
export function estimateInputTokens(request: ChatRequest): number {
  let tokens = requestTokens;
  for (const message of request.messages) {
    tokens += perMessageTokens;
    for (const part of message.parts) tokens += partTokens(part);
  }
  for (const tool of request.tools) tokens += toolTokens + toolTextTokens(tool);
  if (request.responseFormat?.kind === 'json-schema') tokens += jsonTokens(request.responseFormat.schema);
  return tokens;
}

function partTokens(part: Part): number {
  switch (part.kind) {
    case 'text':
    case 'refusal':
    case 'reasoning':
      return estimateTextTokens(part.text) + (part.state ? Math.ceil(part.state.value.length / 4) : 0);
    case 'tool-call':
      return 12 + estimateTextTokens(part.name) + estimateTextTokens(part.input);
    case 'tool-result':
      return part.parts.reduce((sum, inner) => sum + partTokens(inner), 12);
    case 'native':
      return jsonTokens(part.value);
    case 'media':
      return mediaTokens(part);
  }
}

function mediaTokens(part: MediaPart): number {
  const { source } = part;
  if (source.kind === 'text') return estimateTextTokens(source.text);
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

function toolTextTokens(tool: Tool): number {
  switch (tool.kind) {
    case 'function':
      return estimateTextTokens(tool.description ?? '') + jsonTokens(tool.parameters ?? {});
    case 'custom':
      return estimateTextTokens(tool.description ?? '') + jsonTokens(tool.format ?? {});
    case 'web-search':
    case 'native':
      return 500;
  }
}

function jsonTokens(value: object): number {
  return estimateTextTokens(JSON.stringify(value));
}
