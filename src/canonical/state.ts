import { asString, parseJsonObject } from '#std';
import type { DialectId, OpaqueState } from './chat.ts';

/**
 * Carrying one dialect's opaque state through a client of another: the state is wrapped into a
 * self-describing text that fits any dialect's own field for such state (a signature, an encrypted
 * content), and taken out again when the client sends it back.
 */
const prefix = 'mfs1.';

/** `toolCallId` binds state of a tool call that has to travel beside the call, not inside it. */
export type WrappedState = OpaqueState & { readonly toolCallId?: string | undefined };

export function wrapState(state: WrappedState): string {
  const { issuer, value, form, itemId, toolCallId } = state;
  const text = JSON.stringify({ issuer, value, form, itemId, toolCallId });
  return prefix + Buffer.from(text, 'utf8').toString('base64url');
}

/** The wrapped state, or `undefined` when `text` is not one: then it is the client dialect's own. */
export function unwrapState(text: string): WrappedState | undefined {
  if (!text.startsWith(prefix)) return undefined;
  const object = parseJsonObject(Buffer.from(text.slice(prefix.length), 'base64url').toString('utf8'));
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
