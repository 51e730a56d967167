/**
 * Whether a stream says the same after it went through a leg: its text joined from the events, and
 * for legs that pass the stream on, the events themselves.
 */

import { hash } from 'node:crypto';
import { contentMark, wholeText } from './answers.ts';
import type { LoadGenerator } from './generator.ts';
import type { Leg } from './leg.ts';
import type { Workload } from './workloads.ts';

export type Fidelity = {
  readonly leg: string;
  readonly verdict: string;
  /** Why there was no right answer. */
  readonly failure?: string;
};

/** One stream through each leg. */
export async function checkFidelity(
  generator: LoadGenerator,
  workload: Workload,
  legs: readonly Leg[],
): Promise<readonly Fidelity[]> {
  const bodies = new Map<string, string>();
  const failures = new Map<string, string>();
  for (const leg of legs) {
    const result = await generator.run({
      port: leg.port,
      requests: [leg.request(workload)],
      mark: leg.mark(workload),
      marks: workload.shape.chunks,
      rate: 10,
      count: 1,
      seed: 1,
      limitMs: 30_000,
      bodiesKept: 1,
    });
    failures.set(leg.id, result.firstFailure);
    const [body] = result.bodies;
    if (body !== undefined) bodies.set(leg.id, Buffer.from(body).toString('utf8'));
  }
  const original = bodies.get('direct');
  return legs.map(({ id }) => {
    const body = bodies.get(id);
    if (body === undefined) return { leg: id, verdict: 'none', failure: failures.get(id) ?? '' };
    return { leg: id, verdict: verdictOf(workload, body, original) };
  });
}

function verdictOf(workload: Workload, body: string, original: string | undefined): string {
  const text = textOf(body);
  const said = wholeText(workload.shape);
  if (text !== said) return `OTHER TEXT (${text.length} of ${said.length} characters)`;
  const isLike = (same: (stream: string) => string): boolean =>
    original !== undefined && same(body) === same(original);
  const verdict = isLike((stream) => stream)
    ? 'same bytes'
    : isLike(contentEvents)
      ? 'same events'
      : 'same text';
  return `${verdict} ${hash('sha256', text).slice(0, 8)}`;
}

/** The events with content as they are; what comes before and after may differ, such as the usage. */
function contentEvents(body: string): string {
  return body
    .split('\n')
    .filter((line) => line.includes(contentMark))
    .join('\n');
}

/** The text of a stream of events, whichever dialect it is in. */
export function textOf(body: string): string {
  return body
    .split(/\r?\n/)
    .filter((line) => line.startsWith('data: {'))
    .map((line) => deltaOf(JSON.parse(line.slice(6)) as unknown))
    .join('');
}

type Event = {
  readonly type?: string;
  readonly delta?: string | { readonly text?: string };
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
};

function deltaOf(value: unknown): string {
  const event = value as Event;
  if (event.type === 'response.output_text.delta')
    return typeof event.delta === 'string' ? event.delta : '';
  if (event.type === 'content_block_delta')
    return typeof event.delta === 'object' ? (event.delta.text ?? '') : '';
  return event.choices?.[0]?.delta?.content ?? '';
}
