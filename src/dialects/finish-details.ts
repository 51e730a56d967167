import type { DialectId, Finish } from '#canonical';
import { asObject, saidFields } from '#std';

/**
 * What a choice of another dialect said beside its answer, by the names of its fields, for which the target has no
 * place: a filter's results, tools that the vendor has run. A Responses answer says there why it is incomplete, and
 * its finish says that everywhere.
 */
export function foreignDetails(
  finish: Finish,
  source: DialectId | undefined,
  target: DialectId,
): readonly string[] {
  if (source === target || source === 'openai-responses') return [];
  return saidFields(finish.details).flatMap((key) =>
    key === 'message'
      ? saidFields(asObject(finish.details?.['message'])).map((inner) => `message.${inner}`)
      : [key],
  );
}
