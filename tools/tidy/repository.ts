/** What must agree with what: generated files, registries and their pages, the lock file. */

import { generatedFiles } from '../generate.ts';
import { importTable } from './modules.ts';
import type { Finding, SyntaxNode, Tree } from './tree.ts';
import { isNode, lineAt, nameOf, nodesOf, visit } from './tree.ts';

export function generatedIsFresh(tree: Tree): Finding[] {
  return generatedFiles(tree)
    .filter(({ path, text }) => tree.read(path) !== text)
    .map(({ path }) => ({
      path,
      line: 1,
      what: 'is not what the generator writes',
      why: 'someone edited it, or what it is made from has changed',
      remedy: 'npm run gen',
    }));
}

const errorRegistryFile = 'src/canonical/error.ts';
const errorPage = 'docs/reference/errors.md';

/** Codes are documented in the first cell of a table row or in a heading, between backquotes. */
export function errorsAreDocumented(tree: Tree): Finding[] {
  const source = tree.sources.find(({ path }) => path === errorRegistryFile);
  const defined =
    source === undefined ? new Map<string, number>() : registryCodes(source.program, source.text);
  const page = tree.read(errorPage);
  if (defined.size === 0) {
    const remedy = `export const errorRegistry = { code: … } from ${errorRegistryFile}`;
    return [
      {
        path: errorRegistryFile,
        line: 1,
        what: 'no errorRegistry was found',
        why: 'the rule would check nothing',
        remedy,
      },
    ];
  }
  const documented = new Map<string, number>();
  for (const match of (page ?? '').matchAll(/^(?:#+ +|\| *)`([a-z][a-z0-9_]*)`/gm)) {
    documented.set(match[1] ?? '', lineAt(page ?? '', match.index));
  }
  const undocumented = [...defined].filter(([code]) => !documented.has(code));
  const unknown = [...documented].filter(([code]) => !defined.has(code));
  const why = 'a client looks a code up there';
  return [
    ...undocumented.map(([code, line]) => {
      const remedy = `add a row | \`${code}\` | … | to ${errorPage}: meaning, cause, remedy`;
      return {
        path: errorRegistryFile,
        line,
        what: `the error ${code} is not in ${errorPage}`,
        why,
        remedy,
      };
    }),
    ...unknown.map(([code, line]) => {
      const remedy = `remove it there, or define it in ${errorRegistryFile}`;
      return { path: errorPage, line, what: `the error ${code} does not exist`, why, remedy };
    }),
  ];
}

function registryCodes(program: SyntaxNode, text: string): Map<string, number> {
  const codes = new Map<string, number>();
  visit(program, (node) => {
    if (node.type !== 'VariableDeclarator' || nameOf(node['id']) !== 'errorRegistry') return;
    let value = node['init'];
    while (isNode(value) && isNode(value['expression'])) value = value['expression'];
    for (const property of isNode(value) ? nodesOf(value['properties']) : []) {
      const key = property['key'];
      const code = nameOf(key) ?? (isNode(key) ? key['value'] : undefined);
      if (typeof code === 'string') codes.set(code, lineAt(text, property.start));
    }
  });
  return codes;
}

/** Written so that the patterns do not find themselves. */
const machineTraces: readonly { readonly pattern: RegExp; readonly what: string }[] = [
  { pattern: /\/work\/[a-z]/, what: 'a path of one machine' },
  { pattern: /\/(root|home\/[a-z]+|Users\/[a-z]+)\/[a-z.]/, what: 'a path of one machine' },
  {
    pattern: /registry\.(npmjs|npmmirror|yarnpkg)\.|\bnpm\.pkg\.github/,
    what: 'the host of a package registry',
  },
];

const traceExceptions = /^test\/fixtures\/|^tools\/tidy\/repository\.ts$|^LICENSE$/;

export function noMachineTraces(tree: Tree): Finding[] {
  const texts = tree.paths.filter((file) => !traceExceptions.test(file));
  return texts.flatMap((file) => {
    const text = tree.read(file) ?? '';
    return machineTraces.flatMap(({ pattern, what }) => {
      const found = pattern.exec(text);
      if (found === null) return [];
      const line = lineAt(text, found.index);
      const why = 'the tree must work on every machine and with every registry';
      return [
        {
          path: file,
          line,
          what: `${what}: ${found[0]}`,
          why,
          remedy: 'use a path relative to the checkout, or a setting',
        },
      ];
    });
  });
}

type LockEntry = {
  readonly resolved?: string;
  readonly hasInstallScript?: boolean;
  readonly optionalDependencies?: { readonly [name: string]: string };
};

export function lockFileIsPortable(tree: Tree): Finding[] {
  const text = tree.read('package-lock.json');
  if (text === undefined) return [];
  const packages = readJson<{ packages?: { [key: string]: LockEntry } }>(text).packages ?? {};
  return Object.entries(packages).flatMap(([key, entry]) => {
    const line = lineAt(text, Math.max(text.indexOf(`"${key}"`), 0));
    const at = { path: 'package-lock.json', line };
    const found: Finding[] = [];
    if (entry.resolved !== undefined) {
      const remedy =
        'keep omit-lockfile-registry-resolved=true in .npmrc and run npm install --ignore-scripts again';
      found.push({
        ...at,
        what: `${key} names the URL it came from`,
        why: 'another registry could not serve it',
        remedy,
      });
    }
    const missing = missingOptional(packages, key, entry);
    if (missing !== undefined) {
      const why =
        'npm left it out because the registry in use lacks it, and npm ci then refuses everywhere';
      found.push({
        ...at,
        what: `${key} asks for ${missing}, which has no entry`,
        why,
        remedy: 'npm run lock',
      });
    }
    return found;
  });
}

export function missingOptional(
  packages: { readonly [key: string]: unknown },
  key: string,
  entry: LockEntry,
): string | undefined {
  const names = Object.keys(entry.optionalDependencies ?? {});
  return names.find(
    (name) =>
      packages[`node_modules/${name}`] === undefined &&
      packages[`${key}/node_modules/${name}`] === undefined,
  );
}

type PackageFile = {
  readonly imports?: { readonly [name: string]: string };
  readonly dependencies?: { readonly [name: string]: string };
  readonly devDependencies?: { readonly [name: string]: string };
};

const dependencyPage = 'docs/decisions/dependencies.md';

export function dependenciesAreRecorded(tree: Tree): Finding[] {
  const text = tree.read('package.json') ?? '{}';
  const file = readJson<PackageFile>(text);
  const all = { ...file.dependencies, ...file.devDependencies };
  const page = tree.read(dependencyPage) ?? '';
  return Object.entries(all).flatMap(([name, version]) => {
    const at = { path: 'package.json', line: lineAt(text, text.indexOf(`"${name}":`)) };
    const found: Finding[] = [];
    if (!page.includes(`\`${name}\``)) {
      const remedy = `add a row \`${name}\` to ${dependencyPage}: what for, licence, upkeep, what it pulls in`;
      found.push({
        ...at,
        what: `${name} has no record`,
        why: 'every dependency is a decision',
        remedy,
      });
    }
    if (!/^\d+\.\d+\.\d+$/.test(version)) {
      found.push({
        ...at,
        what: `${name} is given as ${version}`,
        why: 'a range is another program tomorrow',
        remedy: 'an exact version',
      });
    }
    return found;
  });
}

/** `#name` in package.json, the row of the import table and the folder are one thing. */
export function doorsAgree(tree: Tree): Finding[] {
  const text = tree.read('package.json') ?? '{}';
  const doors = readJson<PackageFile>(text).imports ?? {};
  const line = lineAt(text, Math.max(text.indexOf('"imports"'), 0));
  const at = {
    path: 'package.json',
    line,
    why: 'a module is a folder, a door and a row of the import table',
  };
  const rows = Object.keys(importTable).filter((name) => name !== 'main');
  const withoutDoor = rows.filter((name) => doors[`#${name}`] !== `./src/${name}/index.ts`);
  const withoutRow = Object.keys(doors).filter((door) => !rows.includes(door.slice(1)));
  return [
    ...withoutDoor.map((name) => ({
      ...at,
      what: `no door #${name}`,
      remedy: `"#${name}": "./src/${name}/index.ts" in imports`,
    })),
    ...withoutRow.map((door) => ({
      ...at,
      what: `${door} has no row`,
      remedy: 'add the row to tools/tidy/modules.ts',
    })),
  ];
}

/** Our own files, whose shape the rule itself states; anything else in them is not looked at. */
function readJson<T>(text: string): T {
  return JSON.parse(text) as T;
}
