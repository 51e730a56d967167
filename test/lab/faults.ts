/** The table of upstream faults, alone and in pairs: `node test/lab/faults.ts`. About two minutes. */

import { cellsOf, clientDialects, faultNames, runCells, type Cell } from './fault-table.ts';

const problems: string[] = [];

function report(title: string, cells: readonly Cell[], pendingNanoUsd: number): void {
  const slowest = cells.reduce((most, cell) => Math.max(most, cell.elapsedMs), 0);
  console.log(
    `\n${title}: ${cells.length} requests, slowest ${Math.round(slowest)} ms, ${pendingNanoUsd} nano-USD left held`,
  );
  if (pendingNanoUsd !== 0) problems.push(`${pendingNanoUsd} nano-USD left held`);
  for (const cell of cells) {
    for (const problem of cell.problems) {
      problems.push(
        `${cell.faults.join(' + ')}, ${cell.dialect} ${cell.stream ? 'streamed' : 'whole'}: ${problem}`,
      );
    }
  }
}

const text = (cell: Cell | undefined): string =>
  cell === undefined
    ? '-'
    : `${cell.result} ${cell.code} ×${cell.attempts} $${(cell.chargeNanoUsd / 1e9).toFixed(6)}`;

const alone = await runCells(cellsOf(faultNames.map((name) => [name])), 40);
report('One channel', alone.cells, alone.pendingNanoUsd);
console.log(
  'fault | streamed: what the client gets, attempts, charge | whole | dialects that differ',
);
for (const name of faultNames) {
  const [streamed, whole] = [true, false].map((stream) =>
    alone.cells.filter((cell) => cell.faults[0] === name && cell.stream === stream),
  );
  const differs = clientDialects.filter(
    (_, index) =>
      text(streamed?.[index]) !== text(streamed?.[0]) || text(whole?.[index]) !== text(whole?.[0]),
  );
  console.log(
    [
      name,
      text(streamed?.[0]),
      text(whole?.[0]),
      differs.map((dialect) => dialect.name).join(', ') || 'none',
    ].join(' | '),
  );
}

const pairs = faultNames.flatMap((first) => faultNames.map((second) => [first, second]));
const combined = await runCells(cellsOf(pairs), 120);
report('Two channels', combined.cells, combined.pendingNanoUsd);
const outcomes = new Map<string, number>();
for (const cell of combined.cells) {
  const key = `${cell.result} ×${cell.attempts}${cell.chargeNanoUsd > 0 ? ' charged for what was delivered' : ' free'}`;
  outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
}
for (const [outcome, count] of [...outcomes].toSorted(([, left], [, right]) => right - left))
  console.log(`${String(count).padStart(5)}  ${outcome}`);

console.log(`\n${problems.length} problems`);
for (const problem of problems.slice(0, 40)) console.log(`  ${problem}`);
if (problems.length > 0) process.exitCode = 1;
