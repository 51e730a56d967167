/** The bill inside a vendor's own text: set into its usage object, while every other character stays. */

import type { Bill } from '#canonical';
import {
  findMember,
  findMemberObject,
  formatUsd,
  setMembers,
  skipSpace,
  type JsonObject,
  type JsonValue,
  type TextSpan,
} from '#std';

/**
 * Members of a usage object that tell what the operator pays (`cost`, `cost_details`, `market_cost`, …): no business
 * of the operator's customers.
 */
const vendorCost = /^(?:cost|cost_\w+|\w+_cost|is_byok)$/;
const vendorCostNames = /"(cost|cost_\w+|\w+_cost|is_byok)"/g;

/** The same beside the words of an answer, in the vendor's remarks about how it was routed. */
const metadataNames: readonly string[] = ['provider_metadata', 'providerMetadata'];
const metadataCostNames = /"(cost|[a-zA-Z]+Cost)"/g;

/** Whether a text may have such members: streams that count in every frame ask it for each. */
export function mayTellVendorCosts(text: string): boolean {
  return text.includes('cost') || text.includes('is_byok');
}

/** A vendor's usage object as a client may see it. */
export function withoutVendorCosts(usage: JsonObject): JsonObject {
  if (!Object.keys(usage).some((name) => vendorCost.test(name))) return usage;
  const shown: Record<string, JsonValue> = {};
  for (const [key, value] of Object.entries(usage))
    if (value !== undefined && !vendorCost.test(key)) shown[key] = value;
  return shown;
}

/**
 * `text` (a JSON object) with `cost` and `receipt_id` in the object at `path`, and without what a vendor says
 * there of its own price. `undefined` when there is no such object, or nothing to change.
 */
export function annotateUsage(
  text: string,
  bill: Bill | undefined,
  path: readonly [string, ...string[]] = ['usage'],
): string | undefined {
  if (!bill && !mayTellVendorCosts(text)) return undefined;
  const [first, ...deeper] = path;
  let object = findMemberObject(text, first);
  for (const key of deeper) object = object && findMember(text, object.start, key);
  return annotateObject(text, object, bill, 'receipt_id');
}

/** The same for Gemini's `usageMetadata`. Text before the first brace (SSE's `data: `, a comma) is passed over. */
export function annotateUsageMetadata(text: string, bill: Bill | undefined): string | undefined {
  const open = text.indexOf('{');
  const object = open < 0 ? undefined : findMember(text, open, 'usageMetadata');
  return annotateObject(text, object, bill, 'receiptId');
}

function annotateObject(
  text: string,
  object: TextSpan | undefined,
  bill: Bill | undefined,
  receiptName: string,
): string | undefined {
  if (!isObject(text, object)) return undefined;
  const inner = text.slice(object.start, object.end);
  const foreign = namesIn(inner, vendorCostNames);
  if (!bill && foreign.length === 0) return undefined;
  const hidden = bill ? foreign.filter((name) => name !== 'cost') : foreign;
  return setMembers(text, object, [
    ...hidden.map((name) => [name, undefined] as const),
    ...(bill
      ? ([
          ['cost', formatUsd(bill.costNanoUsd)],
          [receiptName, JSON.stringify(bill.receiptId)],
        ] as const)
      : []),
  ]);
}

/**
 * `text` without the prices that gateways of vendors tell in `provider_metadata`, whose other members may be state that
 * a model needs again. Only for dialects in which no answer has objects of the model's own: a quoted name followed by a
 * colon can only be a key there, since quotes inside strings are escaped.
 */
export function withoutMetadataCosts(text: string): string {
  let shown = text;
  for (const name of metadataNames) {
    const key = `"${name}"`;
    for (let at = shown.indexOf(key); at >= 0; at = shown.indexOf(key, at + key.length)) {
      const colon = skipSpace(shown, at + key.length);
      const open = skipSpace(shown, colon + 1);
      const gateway = shown[colon] === ':' ? findMember(shown, open, 'gateway') : undefined;
      if (!isObject(shown, gateway)) continue;
      const names = namesIn(shown.slice(gateway.start, gateway.end), metadataCostNames);
      shown = setMembers(
        shown,
        gateway,
        names.map((found) => [found, undefined] as const),
      );
    }
  }
  return shown;
}

function namesIn(text: string, names: RegExp): readonly string[] {
  return [...new Set(Array.from(text.matchAll(names), ([, name = '']) => name))];
}

function isObject(text: string, span: TextSpan | undefined): span is TextSpan {
  return span !== undefined && text[span.start] === '{' && text[span.end - 1] === '}';
}
