/** Boundaries: who imports whom, through which door, and whether anybody does at all. */

import path from 'node:path';
import type { ModuleRule } from './modules.ts';
import { importTable } from './modules.ts';
import type { Finding, Import, Source, Tree } from './tree.ts';
import { isFixture, lineAt, nodesOf } from './tree.ts';

export function importDirections(tree: Tree): Finding[] {
  return tree.sources.flatMap((source) => {
    if (source.module === undefined) return [];
    const rule = importTable[source.module];
    if (rule === undefined) return [unknownModule(source)];
    return source.imports.flatMap((entry) => checkDirection(source, entry, rule));
  });
}

function unknownModule(source: Source): Finding {
  return {
    path: source.path,
    line: 1,
    what: `src/${source.module} is not in the import table`,
    why: 'a module without a row has no boundary',
    remedy:
      'put the file into a module that exists, or add a row to tools/tidy/modules.ts with a decision record',
  };
}

/** Tests may reach for any door and any package: what they need says nothing about the module. */
function checkDirection(source: Source, entry: Import, rule: ModuleRule): Finding[] {
  const { specifier } = entry;
  if (specifier.startsWith('.') || source.isTest) return [];
  const at = { path: source.path, line: lineAt(source.text, entry.start) };
  if (specifier.startsWith('#')) {
    const target = specifier.slice(1).split('/')[0] ?? '';
    if (target === source.module || rule.modules.includes(target)) return [];
    const allowed = rule.modules.map((name) => `#${name}`).join(', ') || 'nothing';
    const what = `${source.module} must not import ${specifier}`;
    return [
      {
        ...at,
        what,
        why: `it may import ${allowed}`,
        remedy: 'pass what is needed in as a value, or move the code',
      },
    ];
  }
  const name = packageOf(specifier);
  const builtIn = name.startsWith('node:') && rule.outside.includes('node:*');
  if (builtIn || rule.outside.includes(name)) return [];
  const allowed = rule.outside.join(', ') || 'nothing';
  const what = `${source.module} must not import ${name}`;
  const why = `from outside it may import ${allowed}`;
  return [
    {
      ...at,
      what,
      why,
      remedy: 'pass it in as a value, or change the table in tools/tidy/modules.ts on purpose',
    },
  ];
}

/** `node:fs/promises` counts as `node:fs`, `zod/v4` as `zod`. */
function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? specifier);
}

export function doorsOnly(tree: Tree): Finding[] {
  return tree.sources.flatMap((source) =>
    source.imports.flatMap((entry) => {
      const fault = doorFault(source, entry.specifier);
      if (fault === undefined) return [];
      const why = 'each module has one door, so that what is behind it can change';
      return [
        {
          path: source.path,
          line: lineAt(source.text, entry.start),
          what: fault.what,
          why,
          remedy: fault.remedy,
        },
      ];
    }),
  );
}

function doorFault(
  source: Source,
  specifier: string,
): { what: string; remedy: string } | undefined {
  if (specifier.startsWith('#')) {
    const [name = '', ...inside] = specifier.slice(1).split('/');
    if (inside.length > 0)
      return { what: `${specifier} reaches behind a door`, remedy: `import from #${name}` };
    if (name !== source.module) return undefined;
    return { what: `${name} enters itself by its door`, remedy: 'import the file itself, with ./' };
  }
  if (!specifier.startsWith('.')) return undefined;
  const target = path.posix.join(path.posix.dirname(source.path), specifier);
  const module = /^src\/([^/]+)\//.exec(target)?.[1];
  if (module === undefined || module === source.module) return undefined;
  return {
    what: `${specifier} reaches into ${module}`,
    remedy: `import from #${module}, and export there what is needed`,
  };
}

/** A rule that looks at nothing is green for ever; this one makes that red. */
export function importsSeen(tree: Tree): Finding[] {
  const crossing = tree.sources
    .flatMap((source) => source.imports)
    .filter((entry) => entry.specifier.startsWith('#'));
  if (crossing.length > 0) return [];
  const why = 'then the rules on imports have checked nothing';
  return [
    {
      path: 'src',
      line: 1,
      what: 'no import between modules was seen',
      why,
      remedy: 'repair the reader of imports in tools/tidy/tree.ts',
    },
  ];
}

export function noModuleCycles(tree: Tree): Finding[] {
  const graph = new Map<string, Map<string, Finding>>();
  for (const source of tree.sources) {
    if (source.module === undefined || source.isTest) continue;
    for (const entry of source.imports) {
      if (!entry.specifier.startsWith('#')) continue;
      const target = entry.specifier.slice(1).split('/')[0] ?? '';
      const edges = graph.get(source.module) ?? new Map<string, Finding>();
      graph.set(source.module, edges);
      const line = lineAt(source.text, entry.start);
      edges.set(target, {
        path: source.path,
        line,
        what: '',
        why: 'neither module can be understood or tested alone',
        remedy: 'move what both need below both',
      });
    }
  }
  return [...graph].flatMap(([module, edges]) =>
    [...edges].flatMap(([target, finding]) => {
      const back = target === module ? undefined : pathBetween(graph, target, module);
      return back === undefined
        ? []
        : [{ ...finding, what: `cycle of modules: ${[module, ...back].join(' → ')}` }];
    }),
  );
}

function pathBetween(
  graph: ReadonlyMap<string, ReadonlyMap<string, unknown>>,
  from: string,
  to: string,
): string[] | undefined {
  const queue: string[][] = [[from]];
  const seen = new Set([from]);
  for (let trail = queue.shift(); trail !== undefined; trail = queue.shift()) {
    const last = trail[trail.length - 1] ?? from;
    if (last === to) return trail;
    for (const next of graph.get(last)?.keys() ?? []) {
      if (seen.has(next)) continue;
      seen.add(next);
      queue.push([...trail, next]);
    }
  }
  return undefined;
}

/** Started by a command, not by an import. */
const entryFiles = /^(src\/main\.ts|tools\/[^/]+\.ts|test\/.*|.*\.test\.ts|.*-rig\.ts|.*\.d\.ts)$/;

export function noDeadFiles(tree: Tree): Finding[] {
  const imported = new Set<string>();
  for (const source of tree.sources) {
    if (source.isTest && !source.path.startsWith('test/')) continue;
    for (const entry of source.imports) imported.add(resolve(source, entry.specifier));
  }
  return tree.sources
    .filter(
      (source) =>
        !entryFiles.test(source.path) && !imported.has(source.path) && !isFixture(source.path),
    )
    .map((source) => ({
      path: source.path,
      line: 1,
      what: 'no other file imports this one',
      why: 'a file that nothing reaches is not part of the program',
      remedy: 'import it where it belongs, or delete it',
    }));
}

function resolve(source: Source, specifier: string): string {
  if (specifier.startsWith('#')) return `src/${specifier.slice(1)}/index.ts`;
  return path.posix.join(path.posix.dirname(source.path), specifier);
}

export function noDefaultExports(tree: Tree): Finding[] {
  return tree.sources.flatMap((source) => {
    if (source.path.startsWith('src/providers/') || source.path.startsWith('test/fixtures/'))
      return [];
    const body = nodesOf(source.program['body']);
    const found = body.find((node) => node.type === 'ExportDefaultDeclaration');
    if (found === undefined) return [];
    const why = 'a name that every importer chooses anew cannot be searched for';
    return [
      {
        path: source.path,
        line: lineAt(source.text, found.start),
        what: 'default export',
        why,
        remedy: 'export it by name; only providers have default exports',
      },
    ];
  });
}
