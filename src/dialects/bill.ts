/** The bill inside a vendor's own text: set into its usage object, while every other character stays. */

import type { Bill } from '#canonical';
import { findMember, findMemberObject, formatUsd, setMembers, type TextSpan } from '#std';

/**
 * `text` (a JSON object) with `cost` and `receipt_id` in the object at `path`. A vendor's own `cost`
 * gives way: it is what the operator pays. `undefined` when there is no such object.
 */
export function annotateUsage(
  text: string,
  bill: Bill,
  path: readonly [string, ...string[]] = ['usage'],
): string | undefined {
  const [first, ...deeper] = path;
  let object = findMemberObject(text, first);
  for (const key of deeper) object = object && findMember(text, object.start, key);
  if (!isObject(text, object)) return undefined;
  return setMembers(text, object, [
    ['cost', formatUsd(bill.costNanoUsd)],
    ['receipt_id', JSON.stringify(bill.receiptId)],
  ]);
}

/** The same for Gemini's `usageMetadata`. Text before the first brace (SSE's `data: `, a comma) is passed over. */
export function annotateUsageMetadata(text: string, bill: Bill): string | undefined {
  const open = text.indexOf('{');
  const object = open < 0 ? undefined : findMember(text, open, 'usageMetadata');
  if (!isObject(text, object)) return undefined;
  return setMembers(text, object, [
    ['cost', formatUsd(bill.costNanoUsd)],
    ['receiptId', JSON.stringify(bill.receiptId)],
  ]);
}

function isObject(text: string, span: TextSpan | undefined): span is TextSpan {
  return span !== undefined && text[span.start] === '{' && text[span.end - 1] === '}';
}
