import type { Part, ToolCallPart } from '#canonical';
import { asArray, asObjects, asString, unknownFields, type JsonObject, type JsonValue } from '#std';
import { saysNoArguments } from '../no-arguments.ts';
import { answerToolName, type AnthropicQuirks } from './quirks.ts';
import { decodeCitation, reasoningPart } from './request-blocks.ts';

const dialect = 'anthropic-messages';

const textFields = new Set(['type', 'text', 'citations']);
const thinkingFields = new Set(['type', 'thinking', 'signature']);
const redactedFields = new Set(['type', 'data']);
const toolUseFields = new Set(['type', 'id', 'name', 'input']);

/** A block of an answer. Tolerant: what is missing is empty, what is unknown is native. */
export function decodeAnswerBlock(block: JsonObject, quirks: AnthropicQuirks): Part {
  switch (block['type']) {
    case 'text': {
      const citations = asObjects(block['citations']).map(decodeCitation);
      return {
        kind: 'text',
        text: asString(block['text']) ?? '',
        ...(citations.length > 0 ? { citations } : {}),
        ...extensionsOf(block, textFields),
      };
    }
    case 'thinking':
      return {
        ...reasoningPart(asString(block['thinking']) ?? '', asString(block['signature']) ?? ''),
        ...extensionsOf(block, thinkingFields),
      };
    case 'redacted_thinking':
      return {
        kind: 'reasoning',
        form: 'redacted',
        text: '',
        state: { issuer: dialect, value: asString(block['data']) ?? '', form: 'redacted_thinking' },
        ...extensionsOf(block, redactedFields),
      };
    case 'tool_use':
      if (isAnswerTool(block, quirks)) return { kind: 'text', text: inputText(block['input']) };
      return { ...toolCallHead(block), input: inputText(block['input']) };
    default:
      return { kind: 'native', dialect, value: block };
  }
}

/** The forced tool that stands for a JSON schema: its input is the answer's text. */
export function isAnswerTool(block: JsonObject, quirks: AnthropicQuirks): boolean {
  return quirks.structuredOutput === 'tool' && block['name'] === answerToolName;
}

/** A call with what its first event tells; the input follows. */
export function toolCallHead(block: JsonObject): ToolCallPart {
  return {
    kind: 'tool-call',
    id: asString(block['id']) ?? '',
    name: asString(block['name']) ?? '',
    input: '',
    ...extensionsOf(block, toolUseFields),
  };
}

/** Missing arguments are none: `{}`. Compatible vendors sometimes give text instead of an object. */
export function inputText(input: JsonValue | undefined): string {
  if (typeof input === 'string') return input === '' || saysNoArguments(input) ? '{}' : input;
  return input === undefined || input === null ? '{}' : JSON.stringify(input);
}

export function extensionsOf(
  block: JsonObject,
  known: ReadonlySet<string>,
): { readonly extensions?: JsonObject } {
  const extensions = unknownFields(block, known);
  return Object.keys(extensions).length > 0 ? { extensions } : {};
}

/** The blocks of an answer on the wire; elements that are no objects are skipped, and a string is one text. */
export function messageBlocks({ content }: JsonObject): readonly JsonObject[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }];
  return asArray(content) ? asObjects(content) : [];
}
