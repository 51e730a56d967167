import { asString, parseJsonObject } from '#std';
import type { DialectId, OpaqueState } from './chat.ts';

/**
 * Carrying one dialect's opaque state through a client of another: the state is wrapped into a
 * self-describing text that fits any dialect's own field for such state (a signature, an encrypted
 * content), and taken out again when the client sends it back. All of it is base64, as vendors write
 * such state: some clients decode it and encode it anew, in either alphabet.
 */
const mark = 'mfs1.';
/** How the mark and the `{` behind it look: six bytes are eight characters, whatever follows. */
const prefix = Buffer.from(`${mark}{`, 'utf8').toString('base64');

/** `toolCallId` binds state of a tool call that has to travel beside the call, not inside it. */
export type WrappedState = OpaqueState & { readonly toolCallId?: string | undefined };

export function wrapState(state: WrappedState): string {
  const { issuer, value, form, itemId, toolCallId } = state;
  const text = JSON.stringify({ issuer, value, form, itemId, toolCallId });
  return Buffer.from(mark + text, 'utf8').toString('base64');
}

/** The wrapped state, or `undefined` when `text` is not one: then it is the client dialect's own. */
export function unwrapState(text: string): WrappedState | undefined {
  if (!text.startsWith(prefix)) return undefined;
  const object = parseJsonObject(Buffer.from(text, 'base64').toString('utf8').slice(mark.length));
  const issuer = asString(object?.['issuer']);
  const value = asString(object?.['value']);
  if (!object || !issuer || value === undefined) return undefined;
  return {
    issuer: issuer as DialectId,
    value,
    form: asString(object['form']) ?? '',
    itemId: asString(object['itemId']),
    toolCallId: asString(object['toolCallId']),
  };
}

/** State as found in a client's field: unwrapped when it is ours, else the client dialect's own. */
export function readState(text: string, dialect: DialectId, form: string): WrappedState {
  return unwrapState(text) ?? { issuer: dialect, value: text, form };
}

/** State as written into a field of `dialect`: verbatim at its issuer, wrapped elsewhere. */
export function writeState(state: WrappedState, dialect: DialectId): string {
  return state.issuer === dialect ? state.value : wrapState(state);
}
