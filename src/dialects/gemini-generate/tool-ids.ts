import { shortDigest } from '../openai-chat/tool-ids.ts';

/**
 * Ids for function calls that came without one. Gemini 2.5 and Vertex name no ids, every other dialect
 * needs them. They are a function of the place, so that decoding twice gives the same ids, and have a
 * form of their own, so that they are left out again when the call goes back to Gemini.
 */

const prefix = 'call_gm';
const madeForm = /^call_gm[A-Za-z0-9_-]*_\d+$/;
const scopeLengthMax = 44;

/** Id of the call at `index` within `scope` (an answer's id, or the place of a turn in a request). */
export function makeToolId(scope: string, index: number): string {
  const safe = scope.replace(/[^A-Za-z0-9_-]/g, '').slice(0, scopeLengthMax);
  return `${prefix}${safe}_${index}`;
}

/** The scope of a call in an answer: the answer's id, or the call itself where older models name none. */
export function callScope(responseId: string, name: string, input: string): string {
  return responseId === '' ? shortDigest(`${name} ${input}`) : responseId;
}

/** Whether {@link makeToolId} made this id: the vendor never saw it. */
export function isMadeToolId(id: string): boolean {
  return madeForm.test(id);
}
