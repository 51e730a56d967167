import type { Bill } from '#canonical';
import { asObject, formatUsd, parseJsonObject, scanJson, spliceJson, type JsonEdit } from '#std';

/** Beyond any answer: vectors of embeddings are long lists of numbers. */
const limits = { depthMax: 128, structuralMax: 50_000_000 };

/**
 * The JSON text with `cost` and `receipt_id` in its usage object; no other byte changes. A vendor's
 * own `cost` (what we pay) gives way to the client's. The text itself when it has no usage object.
 */
export function annotateUsage(text: string, bill: Bill, field = 'usage'): string | undefined {
  const bytes = Buffer.from(text, 'utf8');
  const scan = scanJson(bytes, limits);
  if (!scan.ok || scan.kind !== 'object') return undefined;
  const member = scan.members.findLast((candidate) => candidate.key === field);
  if (!member) return undefined;
  const inner = bytes.subarray(member.valueStart, member.valueEnd);
  const innerScan = scanJson(inner, limits);
  if (!innerScan.ok || innerScan.kind !== 'object') return undefined;
  const edits: readonly JsonEdit[] = [
    { key: 'cost', value: formatUsd(bill.costNanoUsd) },
    { key: 'receipt_id', value: JSON.stringify(bill.receiptId) },
  ];
  const pieces = spliceJson(inner, innerScan, edits);
  if (!pieces) return rewritten(text, edits, bill, field);
  return Buffer.concat([
    bytes.subarray(0, member.valueStart),
    ...pieces,
    bytes.subarray(member.valueEnd),
  ]).toString('utf8');
}

/** Usage objects with repeated or escaped keys are written anew. */
function rewritten(
  text: string,
  edits: readonly JsonEdit[],
  bill: Bill,
  field: string,
): string | undefined {
  const object = parseJsonObject(text);
  const usage = asObject(object?.[field]);
  if (!object || !usage) return undefined;
  const added = Object.fromEntries(
    edits.map(({ key, value }) => [key, key === 'cost' ? Number(value) : bill.receiptId]),
  );
  return JSON.stringify({ ...object, [field]: { ...usage, ...added } });
}
