/** Runs the program of a library over several upstreams and holds what it saw against the script. */

import { copyFileSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { asArray, asObject, asString, type JsonObject, type JsonValue } from '#std';
import { objectsOf } from './json-lines.ts';
import type { Library } from './libraries.ts';
import { runProgram } from './process.ts';
import type { Row, World } from './world.ts';
import { expectedResults, expectedTurns, foreignTo, type ExpectedTurn } from './upstreams.ts';
import { upstreamFaults } from './upstream-check.ts';

const programs = path.join(import.meta.dirname, 'programs');
const limitMs = 60_000;

export async function driveLibrary(
  library: Library,
  installedIn: string,
  world: World,
): Promise<readonly Row[]> {
  const targets = foreignTo(library.dialect);
  const marks = new Map(targets.map(({ id }) => [id, world.rig.vendors[id]?.seen.length ?? 0]));
  const python = library.program.endsWith('.py');
  for (const file of [library.program, python ? 'conversation.py' : 'conversation.mjs'])
    copyFileSync(path.join(programs, file), path.join(installedIn, file));
  const ended = await runProgram({
    command: [python ? path.join(installedIn, 'bin', 'python') : process.execPath, library.program],
    folder: installedIn,
    environment: {
      ...world.environment,
      MANIFOLD_URL: world.rig.url,
      MANIFOLD_KEY: world.rig.key,
      MANIFOLD_NONCE: world.nonce,
      MANIFOLD_DIALECT: library.dialect,
      MANIFOLD_MODELS: targets.map(({ model }) => model).join(','),
    },
    limitMs: world.limitMs(limitMs),
    signal: world.signal,
  });
  const lines = objectsOf(ended.output);
  const died = ended.timedOut
    ? `not done after ${ended.tookMs} ms`
    : `no answer; ${ended.errors.trim().slice(-600)}`;
  return targets.map((upstream): Row => {
    const line = lines.find((candidate) => candidate['model'] === upstream.model);
    const faults = line
      ? [
          ...programFaults(line, library),
          ...upstreamFaults(
            world,
            upstream,
            marks.get(upstream.id) ?? 0,
            expectedResults(world.nonce),
            library.limits?.state !== 'dropped',
          ),
        ]
      : [died];
    return { client: library.name, upstream: upstream.dialect, faults };
  });
}

function programFaults(line: JsonObject, library: Library): readonly string[] {
  const error = asString(line['error']);
  if (error !== undefined) return [error];
  const turns = asArray(line['turns']) ?? [];
  if (turns.length !== expectedTurns.length)
    return [`${turns.length} turns instead of ${expectedTurns.length}`];
  return expectedTurns.flatMap((expected, index) =>
    turnFaults(
      asObject(turns[index]) ?? {},
      seenBy(library, expected),
      library.finishes[index] ?? '',
    ).map((fault) => `turn ${index + 1}: ${fault}`),
  );
}

function seenBy({ limits }: Library, expected: ExpectedTurn): ExpectedTurn {
  const { usage, thoughts } = expected;
  const prompt = limits?.promptTokens === 'none' ? { input: 0, cached: 0 } : {};
  const output = limits?.thoughtTokens === 'none' ? { output: usage.output - thoughts } : {};
  return { ...expected, usage: { ...usage, ...prompt, ...output } };
}

const piecesLeast = 3;

function turnFaults(turn: JsonObject, expected: ExpectedTurn, finish: string): readonly string[] {
  const wanted: { readonly [field: string]: unknown } = {
    text: expected.text,
    calls: expected.calls,
    finish,
    usage: expected.usage,
  };
  const faults = Object.entries(wanted).flatMap(([field, value]) => {
    const got: JsonValue | undefined = turn[field];
    return isDeepStrictEqual(got, value)
      ? []
      : [`${field} is ${JSON.stringify(got)}, not ${JSON.stringify(value)}`];
  });
  const pieces = typeof turn['pieces'] === 'number' ? turn['pieces'] : 0;
  return pieces < piecesLeast ? [...faults, `came in ${pieces} pieces: not streamed`] : faults;
}
