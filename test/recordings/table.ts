/** Pass and fail by provider and kind, printed after a suite over the recordings. */

export type RecordingTable = {
  /** One case and what was found wrong with it; an empty list is a pass. */
  record(provider: string, kind: string, problems: readonly string[]): void;
  text(): string;
};

type Row = { pass: number; fail: number };

export function createRecordingTable(): RecordingTable {
  const rows = new Map<string, Row>();
  return {
    record(provider, kind, problems) {
      const key = `${kind}\t${provider}`;
      const row = rows.get(key) ?? { pass: 0, fail: 0 };
      if (problems.length === 0) row.pass += 1;
      else row.fail += 1;
      rows.set(key, row);
    },
    text: () => render(rows),
  };
}

function render(rows: ReadonlyMap<string, Row>): string {
  const lines = [line('kind', 'provider', 'pass', 'fail')];
  const total: Row = { pass: 0, fail: 0 };
  for (const [key, { pass, fail }] of [...rows].sort(([left], [right]) =>
    left < right ? -1 : 1,
  )) {
    const [kind = '', provider = ''] = key.split('\t');
    lines.push(line(kind, provider, String(pass), String(fail)));
    total.pass += pass;
    total.fail += fail;
  }
  lines.push(line('all', '', String(total.pass), String(total.fail)));
  return lines.join('\n');
}

function line(kind: string, provider: string, pass: string, fail: string): string {
  return `${kind.padEnd(14)} ${provider.padEnd(20)} ${pass.padStart(5)} ${fail.padStart(5)}`;
}
