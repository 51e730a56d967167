import type { Finish } from '#canonical';
import { asObject, saidFields, unknownFields } from '#std';

const toldByReason = new Set(['type', 'reason']);

/**
 * What a vendor said at the end of a choice besides why it ended, by the names of its fields: a filter's results,
 * tools that it has run. Other dialects have no place for it.
 */
export function foreignDetails({ details }: Finish): readonly string[] {
  const message = asObject(details?.['message']);
  return saidFields(unknownFields(details ?? {}, toldByReason)).flatMap((key) =>
    key === 'message' && message ? saidFields(message).map((inner) => `message.${inner}`) : [key],
  );
}
