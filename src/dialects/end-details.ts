import type { Finish } from '#canonical';
import { unknownFields, type JsonObject } from '#std';

const toldByReason = new Set(['type', 'reason']);

/** What a vendor says of an answer's end besides why it ended: other dialects have no place for it. */
export function endDetails({ details }: Finish): JsonObject {
  return unknownFields(details ?? {}, toldByReason);
}
