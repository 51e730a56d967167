/** The bill inside a vendor's own text: set into its usage object, while every other character stays. */

import type { Bill } from '#canonical';
import {
  findMember,
  findMemberObject,
  formatUsd,
  setMembers,
  type JsonObject,
  type JsonValue,
  type TextSpan,
} from '#std';

/** Members of a usage object that tell what the operator pays: no business of the operator's customers. */
const vendorCosts: readonly string[] = [
  'cost',
  'cost_details',
  'cost_in_usd_ticks',
  'estimated_cost',
  'is_byok',
  'market_cost',
];

/** Whether a text may have such members: streams that count in every frame ask it for each. */
export function mayTellVendorCosts(text: string): boolean {
  return text.includes('cost') || text.includes('is_byok');
}

/** A vendor's usage object as a client may see it. */
export function withoutVendorCosts(usage: JsonObject): JsonObject {
  if (!vendorCosts.some((name) => name in usage)) return usage;
  const shown: Record<string, JsonValue> = {};
  for (const [key, value] of Object.entries(usage))
    if (value !== undefined && !vendorCosts.includes(key)) shown[key] = value;
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
  const foreign = vendorCosts.filter((name) => inner.includes(`"${name}"`));
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

function isObject(text: string, span: TextSpan | undefined): span is TextSpan {
  return span !== undefined && text[span.start] === '{' && text[span.end - 1] === '}';
}
