/** Each rule of the house sees the violation planted for it, and leaves its opposite alone. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generatedFiles } from './generate.ts';
import { rules } from './tidy.ts';
import { treeOf } from './tidy/tree.ts';

type Files = { readonly [path: string]: string };

type Planted = {
  readonly rule: string;
  readonly name: string;
  readonly bad: Files;
  /** Where and what the first finding must be. */
  readonly at: string;
  readonly what: RegExp;
  readonly good: Files;
};

const lines = (count: number): string => 'call();\n'.repeat(count);
const provider = (id: string): string => `export default { id: '${id}' } satisfies Provider;\n`;
const everyKind = ['text', 'stream', 'tools', '401', '429', 'cut'];
const cases = (kinds: readonly string[]): Files =>
  Object.fromEntries(
    kinds.map((kind) => [`test/fixtures/providers/acme/case-${kind}/meta.json`, '{}']),
  );
const doors = (names: readonly string[]): string => {
  const imports = Object.fromEntries(names.map((name) => [`#${name}`, `./src/${name}/index.ts`]));
  return JSON.stringify({ imports }, undefined, 2);
};
const moduleNames =
  'std canonical dialects providers catalog store ledger metering access routing telemetry upstream gateway control simulator workers cli';
const machinePath = ['', 'home', 'ada', 'code'].join('/');

const planted: readonly Planted[] = [
  {
    rule: 'import-directions',
    name: 'the ledger knows amounts, not models',
    bad: { 'src/ledger/a.ts': "\nimport { model } from '#catalog';\n" },
    at: 'src/ledger/a.ts:2',
    what: /ledger must not import #catalog/,
    good: { 'src/ledger/a.ts': "import { openStore } from '#store';\n" },
  },
  {
    rule: 'import-directions',
    name: 'a dialect has no input or output',
    bad: { 'src/dialects/a.ts': "export * from 'node:fs';\n" },
    at: 'src/dialects/a.ts:1',
    what: /dialects must not import node:fs/,
    good: { 'src/upstream/a.ts': "import { Pool } from 'undici';\nimport net from 'node:net';\n" },
  },
  {
    rule: 'import-directions',
    name: 'a module has a row in the table',
    bad: { 'src/misc/a.ts': '' },
    at: 'src/misc/a.ts:1',
    what: /not in the import table/,
    good: { 'src/std/a.ts': '' },
  },
  {
    rule: 'doors-only',
    name: 'another module is not entered by a path',
    bad: { 'src/gateway/a.ts': "import { x } from '../ledger/books.ts';\n" },
    at: 'src/gateway/a.ts:1',
    what: /reaches into ledger/,
    good: {
      'src/gateway/a.ts': "import { x } from '#ledger';\nimport { y } from './http/b.ts';\n",
    },
  },
  {
    rule: 'doors-only',
    name: 'nor behind its door',
    bad: { 'test/scenarios/a.ts': "const x = await import('#ledger/books');\n" },
    at: 'test/scenarios/a.ts:1',
    what: /behind a door/,
    good: { 'test/scenarios/a.ts': "const x = await import('#ledger');\n" },
  },
  {
    rule: 'doors-agree',
    name: 'a row without a door',
    bad: { 'package.json': doors(moduleNames.split(' ').slice(1)) },
    at: 'package.json:2',
    what: /no door #std/,
    good: { 'package.json': doors(moduleNames.split(' ')) },
  },
  {
    rule: 'imports-seen',
    name: 'a reader that sees no imports is not believed',
    bad: { 'src/std/a.ts': 'export const a = 1;\n' },
    at: 'src:1',
    what: /no import between modules/,
    good: { 'src/canonical/a.ts': "import { a } from '#std';\n" },
  },
  {
    rule: 'no-module-cycles',
    name: 'a cycle over three modules',
    bad: {
      'src/access/a.ts': "import { a } from '#store';\n",
      'src/routing/a.ts': "import { a } from '#access';\n",
      'src/store/a.ts': "import { a } from '#routing';\n",
    },
    at: 'src/access/a.ts:1',
    what: /access → store → routing → access/,
    good: {
      'src/access/a.ts': "import { a } from '#store';\n",
      'src/routing/a.ts': "import { a } from '#store';\n",
    },
  },
  {
    rule: 'no-dead-files',
    name: 'only its test imports the file',
    bad: { 'src/std/a.ts': '', 'src/std/a.test.ts': "import './a.ts';\n" },
    at: 'src/std/a.ts:1',
    what: /no other file imports/,
    good: {
      'src/std/index.ts': "export * from './a.ts';\n",
      'src/std/a.ts': '',
      'src/main.ts': "import '#std';\n",
    },
  },
  {
    rule: 'no-default-exports',
    name: 'outside the providers',
    bad: { 'src/std/a.ts': 'export default 1;\n' },
    at: 'src/std/a.ts:1',
    what: /default export/,
    good: { 'src/providers/acme.ts': provider('acme') },
  },
  {
    rule: 'provider-id',
    name: 'an id that is not the file name',
    bad: { 'src/providers/acme.ts': provider('acne') },
    at: 'src/providers/acme.ts:1',
    what: /the id is 'acne'/,
    good: { 'src/providers/acme.ts': "const acme = { id: 'acme' };\nexport default acme;\n" },
  },
  {
    rule: 'provider-names',
    name: 'a decision by name',
    bad: {
      'src/providers/acme.ts': provider('acme'),
      'src/upstream/a.ts': "\nconst x = name === 'acme';\n",
    },
    at: 'src/upstream/a.ts:2',
    what: /the provider 'acme'/,
    good: {
      'src/providers/acme.ts': provider('acme'),
      'src/upstream/a.ts': "const x = name === 'pacme';\n",
    },
  },
  {
    rule: 'fixture-minimum',
    name: 'no note on the sources',
    bad: { 'src/providers/acme.ts': provider('acme'), ...cases(everyKind) },
    at: 'test/fixtures/providers/acme/SOURCE.md:1',
    what: /not there/,
    good: {
      'src/providers/acme.ts': provider('acme'),
      ...cases(everyKind),
      'test/fixtures/providers/acme/SOURCE.md': '',
    },
  },
  {
    rule: 'fixture-minimum',
    name: 'a kind of case neither shown nor excused',
    bad: {
      'src/providers/acme.ts': provider('acme'),
      ...cases(everyKind.slice(1)),
      'test/fixtures/providers/acme/SOURCE.md': 'skip text:\n',
    },
    at: 'test/fixtures/providers/acme/SOURCE.md:1',
    what: /«text»/,
    good: {
      'src/providers/acme.ts': provider('acme'),
      ...cases(everyKind.slice(1)),
      'test/fixtures/providers/acme/SOURCE.md': '- skip text: it only streams\n',
    },
  },
  {
    rule: 'banned-words',
    name: 'in a comment',
    bad: { 'src/std/a.ts': '\n/* well */ // FIXME later\n' },
    at: 'src/std/a.ts:2',
    what: /«FIXME» in a comment/,
    good: { 'src/std/a.ts': "const text = 'FIXME'; // fixed\n" },
  },
  {
    rule: 'banned-words',
    name: 'in a declared name, not in the member of a foreign object',
    bad: { 'src/std/a.ts': 'function f(rawReq: string) {}\n' },
    at: 'src/std/a.ts:1',
    what: /«req» in the name rawReq/,
    good: {
      'src/std/a.ts': 'const request = socket.req;\nconst require = 1;\ncall({ req: request });\n',
    },
  },
  {
    rule: 'banned-words',
    name: 'in the name of a file',
    bad: { 'src/std/string-utils.ts': '' },
    at: 'src/std/string-utils.ts:1',
    what: /«utils» in the name of a file/,
    good: { 'src/std/strings.ts': '' },
  },
  {
    rule: 'short-functions',
    name: 'a function of 71 lines',
    bad: { 'src/std/a.ts': `\nconst f = () => {\n${lines(69)}};\n` },
    at: 'src/std/a.ts:2',
    what: /has 71 lines/,
    good: {
      'src/std/a.ts': `const f = () => {\n${lines(68)}};\n`,
      'src/std/a.test.ts': `test(() => {\n${lines(99)}});\n`,
    },
  },
  {
    rule: 'short-files',
    name: 'a file of 501 lines',
    bad: { 'src/std/a.ts': `${lines(500)}call();` },
    at: 'src/std/a.ts:501',
    what: /has 501 lines/,
    good: { 'src/std/a.ts': `${lines(499)}call();` },
  },
  {
    rule: 'no-any',
    name: 'as a cast',
    bad: { 'tools/a.ts': 'const a = b as any;\n' },
    at: 'tools/a.ts:1',
    what: /the type any/,
    good: { 'tools/a.ts': "const any = 'any'; // any\n" },
  },
  {
    rule: 'suppressions',
    name: 'a rule switched off in silence',
    bad: { 'src/std/a.ts': '\n// oxlint-disable-next-line no-var\nvar a = 1;\n' },
    at: 'src/std/a.ts:2',
    what: /oxlint-disable without a reason/,
    good: {
      'src/std/a.ts': '// oxlint-disable-next-line no-var -- the vendor reads it\nvar a = 1;\n',
    },
  },
  {
    rule: 'no-naked-json',
    name: 'the built-in parser',
    bad: { 'src/gateway/a.ts': 'const a = JSON.parse(body);\n' },
    at: 'src/gateway/a.ts:1',
    what: /JSON\.parse/,
    good: {
      'src/std/json.ts': 'const a = JSON.parse(body);\n',
      'src/std/json.test.ts': 'JSON.parse(body);\n',
    },
  },
  {
    rule: 'no-weak-signals',
    name: 'several reasons to stop',
    bad: { 'src/gateway/a.ts': 'const a = AbortSignal.any([b, c]);\n' },
    at: 'src/gateway/a.ts:1',
    what: /AbortSignal\.any/,
    good: { 'src/gateway/a.ts': 'const a = AbortSignal.timeout(1);\n' },
  },
  {
    rule: 'no-console',
    name: 'in the server',
    bad: { 'src/gateway/a.ts': 'console.error(1);\n' },
    at: 'src/gateway/a.ts:1',
    what: /console/,
    good: { 'src/cli/a.ts': 'console.log(1);\n', 'tools/a.ts': 'console.log(1);\n' },
  },
  {
    rule: 'no-float-money',
    name: 'a quotient of amounts',
    bad: { 'src/ledger/a.ts': 'const half = Math.floor(amountNanoUsd / 2);\n' },
    at: 'src/ledger/a.ts:1',
    what: /division/,
    good: {
      'src/ledger/a.ts':
        'const million = 1_000_000n;\nconst x = (a * BigInt(b)) / million;\nconst day = Math.floor(nowMs / dayMs);\n',
    },
  },
  {
    rule: 'no-float-money',
    name: 'a fraction, a conversion, a text with decimals',
    bad: {
      'src/metering/rate.ts':
        'const a = price * 1.5;\nconst b = Number(text);\nconst c = d.toFixed(2);\n',
    },
    at: 'src/metering/rate.ts:1',
    what: /a fraction/,
    good: {
      'src/metering/estimate.ts': 'const tokens = characters / 3.6;\n',
      'src/ledger/a.ts': 'const a = 1.0;\n',
    },
  },
  {
    rule: 'nano-usd-typed',
    name: 'a plain number under the name of money',
    bad: { 'src/store/a.ts': 'type Row = {\n  readonly chargeNanoUsd: number | null;\n};\n' },
    at: 'src/store/a.ts:2',
    what: /chargeNanoUsd is declared as number/,
    good: {
      'src/store/a.ts':
        'const add = (aNanoUsd: NanoUsd, sumNanoUsd: bigint, count: number): void => {};\n',
    },
  },
  {
    rule: 'generated-fresh',
    name: 'a provider that the list does not know',
    bad: { 'src/providers/acme.ts': provider('acme'), 'src/providers/registry.gen.ts': '' },
    at: 'src/providers/registry.gen.ts:1',
    what: /not what the generator writes/,
    good: fresh({
      'src/providers/acme.ts': provider('acme'),
      'ARCHITECTURE.md': '# Architecture\n',
    }),
  },
  {
    rule: 'errors-documented',
    name: 'a code without an entry',
    bad: {
      'src/canonical/error.ts': 'export const errorRegistry = {\n  bad_luck: 1,\n} as const;\n',
    },
    at: 'src/canonical/error.ts:2',
    what: /bad_luck is not in/,
    good: {
      'src/canonical/error.ts': 'const errorRegistry = { bad_luck: 1 };\n',
      'docs/reference/errors.md': '| `bad_luck` | 500 |\n',
    },
  },
  {
    rule: 'errors-documented',
    name: 'an entry without a code',
    bad: {
      'src/canonical/error.ts': 'const errorRegistry = { a: 1 };\n',
      'docs/reference/errors.md': '### `a`\n\n### `b`\n',
    },
    at: 'docs/reference/errors.md:3',
    what: /b does not exist/,
    good: {
      'src/canonical/error.ts': 'const errorRegistry = { a: 1 };\n',
      'docs/reference/errors.md': '### `a`\n',
    },
  },
  {
    rule: 'dependencies-recorded',
    name: 'a dependency that nobody decided on',
    bad: { 'package.json': '{\n"dependencies": { "left-pad": "1.3.0" } }' },
    at: 'package.json:2',
    what: /left-pad has no record/,
    good: {
      'package.json': '{ "dependencies": { "a": "1.3.0" } }',
      'docs/decisions/dependencies.md': '| `a` |\n',
    },
  },
  {
    rule: 'dependencies-recorded',
    name: 'a range',
    bad: {
      'package.json': '{ "devDependencies": { "a": "^1.3.0" } }',
      'docs/decisions/dependencies.md': '| `a` |\n',
    },
    at: 'package.json:1',
    what: /given as \^1\.3\.0/,
    good: {
      'package.json': '{ "devDependencies": { "a": "1.3.0" } }',
      'docs/decisions/dependencies.md': '| `a` |\n',
    },
  },
  {
    rule: 'lock-portable',
    name: 'an entry that names where it came from',
    bad: { 'package-lock.json': '{ "packages": {\n"node_modules/a": { "resolved": "x" } } }' },
    at: 'package-lock.json:2',
    what: /names the URL/,
    good: { 'package-lock.json': '{ "packages": { "node_modules/a": {} } }' },
  },
  {
    rule: 'lock-portable',
    name: 'an optional package left out',
    bad: {
      'package-lock.json':
        '{ "packages": { "node_modules/a": { "optionalDependencies": { "b": "1.0.0" } } } }',
    },
    at: 'package-lock.json:1',
    what: /asks for b/,
    good: {
      'package-lock.json':
        '{ "packages": { "node_modules/a": { "optionalDependencies": { "b": "1.0.0" } }, "node_modules/b": {} } }',
    },
  },
  {
    rule: 'no-machine-traces',
    name: 'a path of one machine',
    bad: { 'docs/guide/start.md': `\ncd ${machinePath}\n` },
    at: 'docs/guide/start.md:2',
    what: /a path of one machine/,
    good: { 'docs/guide/start.md': 'cd manifold\n' },
  },
];

/** Adds what the generator would write. */
function fresh(files: Files): Files {
  const tree = treeOf(new Map(Object.entries(files)));
  return {
    ...files,
    ...Object.fromEntries(generatedFiles(tree).map(({ path, text }) => [path, text])),
  };
}

function findings(rule: string, files: Files): { at: string; what: string }[] {
  const found = rules
    .find(({ name }) => name === rule)
    ?.check(treeOf(new Map(Object.entries(files))));
  return (found ?? []).map(({ path, line, what }) => ({ at: `${path}:${line}`, what }));
}

for (const { rule, name, bad, at, what, good } of planted) {
  test(`tidy, ${rule}: ${name}`, () => {
    const [first] = findings(rule, bad);
    assert.ok(first !== undefined, 'the planted violation was not seen');
    assert.equal(first.at, at);
    assert.match(first.what, what);
    assert.deepEqual(findings(rule, good), []);
  });
}

test('every rule of tidy has a planted violation', () => {
  const tested = new Set(planted.map(({ rule }) => rule));
  assert.deepEqual(
    rules.map(({ name }) => name).filter((name) => !tested.has(name)),
    [],
  );
});
