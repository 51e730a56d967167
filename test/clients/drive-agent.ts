/** Runs an agent over several upstreams: its own tool must read the note, and its last words must tell of it. */

import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Agent, Counts } from './agents.ts';
import { objectsOf } from './json-lines.ts';
import { runProgram } from './process.ts';
import type { Row, World } from './world.ts';
import { upstreamFaults } from './upstream-check.ts';
import {
  agentAnswer,
  agentQuestion,
  expectedTurns,
  foreignTo,
  type Upstream,
} from './upstreams.ts';

const limitMs = 60_000;

export async function driveAgent(
  agent: Agent,
  installedIn: string,
  world: World,
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const upstream of foreignTo(agent.dialect))
    rows.push(await drive(agent, installedIn, upstream, world));
  return rows;
}

async function drive(
  agent: Agent,
  installedIn: string,
  upstream: Upstream,
  world: World,
): Promise<Row> {
  const home = path.join(installedIn, `home-${upstream.id}`);
  mkdirSync(home);
  const mark = world.rig.vendors[upstream.id]?.seen.length ?? 0;
  const task = {
    url: world.rig.url,
    key: world.rig.key,
    model: upstream.model,
    question: agentQuestion,
  };
  agent.settle(home, task);
  const ended = await runProgram({
    command: agent.command(installedIn, task),
    folder: world.workspace,
    environment: { ...world.environment, HOME: home, ...agent.environment(task) },
    limitMs: world.limitMs(limitMs),
    signal: world.signal,
  });
  const words = `${ended.errors.trim().slice(-400)} ${ended.output.trim().slice(-400)}`;
  const faults = [
    ...(ended.timedOut
      ? [`not done after ${ended.tookMs} ms: ${words}`]
      : ended.code === 0
        ? []
        : [`ended with ${ended.code}: ${words}`]),
    ...(ended.output.includes(agentAnswer(world.nonce))
      ? []
      : [`did not say «${agentAnswer(world.nonce)}» but ${words}`]),
    ...countFaults(agent, ended.output),
    ...upstreamFaults(world, upstream, mark, [`note ${world.nonce}`]),
  ];
  return { client: agent.name, upstream: upstream.dialect, faults };
}

/** The conversation of an agent has the same two turns as that of a library. */
function countFaults(agent: Agent, output: string): readonly string[] {
  const counted = sum(objectsOf(output).map((object) => agent.counts(object)));
  const expected = sum(expectedTurns.map(({ usage }) => usage));
  return isDeepStrictEqual(counted, expected)
    ? []
    : [`counted ${JSON.stringify(counted)}, not ${JSON.stringify(expected)}`];
}

function sum(all: readonly Counts[]): Counts {
  return all.reduce(
    (a, b) => ({
      input: a.input + b.input,
      cached: a.cached + b.cached,
      output: a.output + b.output,
    }),
    { input: 0, cached: 0, output: 0 },
  );
}
