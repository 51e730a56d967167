import { explode, type Part, type TokenLogprob } from '#canonical';
import type { JsonObject } from '#std';
import { OutputBuilder } from './output-encode.ts';
import type { OutputOptions } from './output-open.ts';

export type WholeOutputOptions = OutputOptions & {
  readonly incomplete: boolean;
  readonly logprobs: readonly TokenLogprob[];
};

/** The items of a whole answer: the same builder, with nobody listening. */
export function encodeOutput(
  parts: readonly Part[],
  options: WholeOutputOptions,
): readonly JsonObject[] {
  const builder = new OutputBuilder(options, () => undefined);
  const choices = [
    { index: 0, parts, finish: { reason: 'stop', raw: '' }, logprobs: options.logprobs },
  ] as const;
  for (const event of explode({
    dialect: options.dialect,
    id: '',
    model: '',
    choices,
    extensions: {},
  })) {
    if (event.kind === 'part-start') builder.partStart(event.part);
    else if (event.kind === 'part-delta') builder.partDelta(event.delta);
    else if (event.kind === 'part-end') builder.partEnd(event.final);
    else if (event.kind === 'logprobs') builder.logprobs(event.tokens);
  }
  builder.finish(options.incomplete);
  return builder.items;
}
