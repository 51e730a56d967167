/** Which kind of item an event of a stream speaks of, and what reads it. */

import { asObject, asString, type JsonObject } from '#std';
import { CallDecoder, NativeDecoder } from './item-calls.ts';
import type { ItemDecoder } from './item-decoder.ts';
import { MessageDecoder, ReasoningDecoder } from './item-words.ts';

export type ItemKind = 'message' | 'reasoning' | 'call' | 'native';

/** The type of the item that an event speaks of; by the event's name where it does not hold the item. */
export function itemTypeOf(type: string, event: JsonObject): string | undefined {
  const item = asObject(event['item']);
  return item ? asString(item['type']) : typeByEvent(type, event);
}

/** `customTools`: whether calls with free text are the client's, as the quirk of that name says. */
export function itemKind(itemType: string | undefined, customTools: boolean): ItemKind | undefined {
  switch (itemType) {
    case undefined:
    case 'message':
    case 'reasoning':
      return itemType;
    case 'function_call':
      return 'call';
    case 'custom_tool_call':
      return customTools ? 'call' : 'native';
    default:
      return 'native';
  }
}

/** The decoder of an item; `item` is what announced it, if anything did. */
export function createItem(
  kind: ItemKind,
  itemType: string,
  item: JsonObject | undefined,
): ItemDecoder {
  switch (kind) {
    case 'message':
      return new MessageDecoder(item);
    case 'reasoning':
      return new ReasoningDecoder(item);
    case 'call':
      return new CallDecoder(itemType);
    case 'native':
      return new NativeDecoder();
  }
}

/** Vendors tell what they do meanwhile under names that only begin like those of thinking. */
const reasoningEvent =
  /^response\.reasoning(?:_text|_summary|_summary_text|_summary_part)?\.(?:added|delta|done)$/;

function typeByEvent(type: string, event: JsonObject): string | undefined {
  if (type.startsWith('response.output_text.') || type.startsWith('response.refusal.'))
    return 'message';
  // Both kinds have content, and open models put their thinking there.
  if (type.startsWith('response.content_part.'))
    return asObject(event['part'])?.['type'] === 'reasoning_text' ? 'reasoning' : 'message';
  if (reasoningEvent.test(type)) return 'reasoning';
  if (type.startsWith('response.function_call_arguments.')) return 'function_call';
  if (type.startsWith('response.custom_tool_call_input.')) return 'custom_tool_call';
  return undefined;
}
