/**
 * The rules of the house, as code. Each is a function from the tree to findings, tested with a
 * planted violation in tidy.test.ts. `npm run tidy` prints findings as a compiler does.
 */

import { root } from './run.ts';
import {
  noAny,
  noConsole,
  noNakedJsonParse,
  noWeakSignals,
  shortFiles,
  shortFunctions,
  suppressionsGiveReasons,
} from './tidy/code.ts';
import {
  doorsOnly,
  importDirections,
  importsSeen,
  noDeadFiles,
  noDefaultExports,
  noModuleCycles,
} from './tidy/imports.ts';
import { nanoUsdIsTyped, noFloatMoney } from './tidy/money.ts';
import { fixtureMinimum, providerIdIsFileName, providerNamesStayHome } from './tidy/providers.ts';
import {
  dependenciesAreRecorded,
  doorsAgree,
  errorsAreDocumented,
  generatedIsFresh,
  lockFileIsPortable,
  noMachineTraces,
} from './tidy/repository.ts';
import type { Finding, Tree } from './tidy/tree.ts';
import { treeOfFolder } from './tidy/tree.ts';
import { bannedWords } from './tidy/words.ts';

export type Rule = {
  readonly name: string;
  readonly demands: string;
  readonly check: (tree: Tree) => readonly Finding[];
};

export const rules: readonly Rule[] = [
  {
    name: 'import-directions',
    demands: 'modules import what the table allows',
    check: importDirections,
  },
  { name: 'doors-only', demands: 'another module is entered by #name', check: doorsOnly },
  { name: 'doors-agree', demands: 'folder, door and table row go together', check: doorsAgree },
  { name: 'imports-seen', demands: 'the reader of imports sees some', check: importsSeen },
  { name: 'no-module-cycles', demands: 'modules form no cycle', check: noModuleCycles },
  { name: 'no-dead-files', demands: 'every file is imported by another', check: noDeadFiles },
  {
    name: 'no-default-exports',
    demands: 'only providers export by default',
    check: noDefaultExports,
  },
  { name: 'provider-id', demands: 'a provider is called as its file', check: providerIdIsFileName },
  {
    name: 'provider-names',
    demands: "a provider's name stays in its file",
    check: providerNamesStayHome,
  },
  {
    name: 'fixture-minimum',
    demands: 'a provider shows text, stream, tools, 401, 429, cut',
    check: fixtureMinimum,
  },
  { name: 'banned-words', demands: 'no unfinished thoughts, no empty names', check: bannedWords },
  { name: 'short-functions', demands: 'a function has at most 70 lines', check: shortFunctions },
  { name: 'short-files', demands: 'a file has at most 500 lines', check: shortFiles },
  { name: 'no-any', demands: 'no any', check: noAny },
  {
    name: 'suppressions',
    demands: 'a suppressed rule has its reason',
    check: suppressionsGiveReasons,
  },
  { name: 'no-naked-json', demands: 'JSON is read by parseJson', check: noNakedJsonParse },
  { name: 'no-weak-signals', demands: 'signals are joined by listeners', check: noWeakSignals },
  { name: 'no-console', demands: 'only the command line prints', check: noConsole },
  { name: 'no-float-money', demands: 'amounts stay whole numbers', check: noFloatMoney },
  { name: 'nano-usd-typed', demands: 'a name in NanoUsd has that type', check: nanoUsdIsTyped },
  { name: 'generated-fresh', demands: 'generated files are up to date', check: generatedIsFresh },
  {
    name: 'errors-documented',
    demands: 'error registry and page agree',
    check: errorsAreDocumented,
  },
  {
    name: 'dependencies-recorded',
    demands: 'exact versions, each with a record',
    check: dependenciesAreRecorded,
  },
  {
    name: 'lock-portable',
    demands: 'the lock file is complete and names no host',
    check: lockFileIsPortable,
  },
  {
    name: 'no-machine-traces',
    demands: 'no path or registry of one machine',
    check: noMachineTraces,
  },
];

export function check(tree: Tree): string[] {
  return rules.flatMap((rule) => rule.check(tree).map((finding) => render(rule, finding)));
}

function render(rule: Rule, { path, line, what, why, remedy }: Finding): string {
  return `${path}:${line}: ${what}; ${why}. Do: ${remedy} [${rule.name}]`;
}

if (import.meta.main) {
  const findings = check(treeOfFolder(root));
  for (const finding of findings) console.log(finding);
  console.log(
    findings.length === 0
      ? `tidy: ${rules.length} rules hold`
      : `tidy: ${findings.length} findings`,
  );
  process.exitCode = findings.length === 0 ? 0 : 1;
}
