/**
 * The id of an end user as OpenAI takes it: `user` and `safety_identifier` have at most 64 characters
 * there, and a longer one is a 400. Claude Code sends some 180 in `metadata.user_id`.
 */

import type { ChatRequest, DialectId } from '#canonical';

const charactersMax = 64;
const hashCharacters = 16;
const offsetBasis = 14_695_981_039_346_656_037n;
const prime = 1_099_511_628_211n;

/** A longer id of another dialect's client keeps its beginning and ends in a hash (FNV-1a) of the whole: the same user, the same id. */
export function endUserFor(dialect: DialectId, request: ChatRequest): string | undefined {
  const { endUserId } = request;
  if (endUserId === undefined || endUserId.length <= charactersMax || request.dialect === dialect)
    return endUserId;
  let hash = offsetBasis;
  for (const byte of Buffer.from(endUserId, 'utf8'))
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * prime);
  const end = `-${hash.toString(16).padStart(hashCharacters, '0')}`;
  return endUserId.slice(0, charactersMax - end.length) + end;
}
