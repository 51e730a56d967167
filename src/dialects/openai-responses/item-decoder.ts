/** What reads one output item of a stream: events in, parts out. */

import type { Part, PartFinal, TokenLogprob } from '#canonical';
import type { JsonObject } from '#std';

/** A part's event without its index: the stream numbers parts in the order in which they go out. */
export type PartEvent =
  | { readonly kind: 'start'; readonly part: Part }
  | { readonly kind: 'delta'; readonly delta: string }
  | { readonly kind: 'end'; readonly final?: PartFinal | undefined };

export type ItemDecoder = {
  /** What the item has said and nobody has taken yet. */
  readonly events: PartEvent[];
  readonly logprobs: readonly TokenLogprob[];
  readonly done: boolean;
  /** `type` is the event's, with `response.`. */
  take(type: string, event: JsonObject): void;
  /** Ends the item with what is known. */
  close(): void;
};

/** The rest of a complete text over what was streamed; nothing when they disagree. */
export function missingRest(streamed: string, complete: string | undefined): string {
  return complete !== undefined &&
    complete.length > streamed.length &&
    complete.startsWith(streamed)
    ? complete.slice(streamed.length)
    : '';
}
