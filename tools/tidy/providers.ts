/** A provider is one file and one folder, and the rest of the program does not know its name. */

import type { Finding, Source, Tree } from './tree.ts';
import { isNode, lineAt, nameOf, nodesOf, visit } from './tree.ts';

/** Files of src/providers that export no provider: the contract, what a channel is, shared parts. */
export function isProviderFile(
  source: Pick<Source, 'path' | 'program' | 'isTest' | 'isGenerated'>,
): boolean {
  if (!/^src\/providers\/[^/]+\.ts$/.test(source.path) || source.isTest || source.isGenerated)
    return false;
  return nodesOf(source.program['body']).some((node) => node.type === 'ExportDefaultDeclaration');
}

export function fileId(file: string): string {
  return (file.split('/').pop() ?? file).replace(/\.ts$/, '');
}

export function providerIdIsFileName(tree: Tree): Finding[] {
  return tree.sources.filter(isProviderFile).flatMap((source) => {
    const id = declaredId(source);
    if (id === fileId(source.path)) return [];
    const what = id === undefined ? 'the default export has no literal id' : `the id is '${id}'`;
    const remedy = `export default { id: '${fileId(source.path)}', … } satisfies Provider`;
    return [
      { path: source.path, line: 1, what, why: 'a provider is found by its file name', remedy },
    ];
  });
}

/** The first `id: '…'` inside the default export, or inside the constant that it names. */
function declaredId(source: Source): string | undefined {
  const body = nodesOf(source.program['body']);
  const exported = body.find((node) => node.type === 'ExportDefaultDeclaration')?.['declaration'];
  const name =
    isNode(exported) && exported.type === 'TSSatisfiesExpression'
      ? nameOf(exported['expression'])
      : nameOf(exported);
  const declared = body
    .flatMap((node) => nodesOf(node['declarations']))
    .find((node) => name !== undefined && nameOf(node['id']) === name);
  const from = declared ?? (isNode(exported) ? exported : undefined);
  if (from === undefined) return undefined;
  let id: string | undefined;
  visit(from, (node) => {
    if (node.type !== 'Property' || nameOf(node['key']) !== 'id' || !isNode(node['value'])) return;
    const value = node['value']['value'];
    if (id === undefined && typeof value === 'string') id = value;
  });
  return id;
}

/** No vendor but a part of the program: known by name, and playing the folders of all the others. */
const ourOwn = 'src/providers/simulator.ts';

type Exception = { readonly path: RegExp; readonly reason: string };

/** Where a vendor's name may stand outside its own file. */
const nameExceptions: readonly Exception[] = [
  { path: /^src\/providers\/[^/]*\.gen\.ts$/, reason: 'generated list of all providers' },
  {
    path: /^src\/providers\/provider\.ts$/,
    reason: 'families of rate-limit headers are called by who began them',
  },
  { path: /^src\/routing\/rate-limit-headers\.ts$/, reason: 'the same families, read' },
  {
    path: /^src\/dialects\/openai-chat\//,
    reason: 'forms of reasoning are called by who began them',
  },
  { path: /^src\/catalog\/data\//, reason: 'the catalog says who offers what' },
  { path: /^src\/simulator\/(data\/|vendors)/, reason: 'the simulator plays the vendors' },
];

/** Words of a dialect that are a vendor's name as well: they say how it is written, not who answers. */
const dialectWords = new Set(['openai', 'anthropic', 'gemini']);
const dialectFiles = /^src\/(canonical|dialects|gateway|providers|simulator)\//;

export function providerNamesStayHome(tree: Tree): Finding[] {
  const providers = tree.sources.filter(isProviderFile).filter(({ path }) => path !== ourOwn);
  const homes = new Map(providers.map((source) => [fileId(source.path), source.path]));
  return tree.sources.flatMap((source) => {
    const skipped =
      source.module === undefined ||
      source.isTest ||
      nameExceptions.some(({ path }) => path.test(source.path));
    return skipped ? [] : strangerNames(source, homes);
  });
}

function strangerNames(source: Source, homes: ReadonlyMap<string, string>): Finding[] {
  const found: Finding[] = [];
  visit(source.program, (node) => {
    const text = node.type === 'Literal' ? node['value'] : undefined;
    if (typeof text !== 'string') return;
    const home = homes.get(text);
    if (home === undefined || home === source.path) return;
    if (dialectWords.has(text) && dialectFiles.test(source.path)) return;
    found.push({
      path: source.path,
      line: lineAt(source.text, node.start),
      what: `the name of the provider '${text}'`,
      why: 'what depends on who answers cannot be added by one file',
      remedy: `ask a fact or a quirk that ${home} declares`,
    });
  });
  return found;
}

/** What each provider's fixture folder must show; a case counts by the words of its folder's name. */
export const fixtureKinds = ['text', 'stream', 'tools', '401', '429', 'cut'] as const;

export const fixturesHome = 'test/fixtures/providers';

export function fixtureMinimum(tree: Tree): Finding[] {
  const providers = tree.sources.filter(isProviderFile).filter(({ path }) => path !== ourOwn);
  return providers.flatMap((source) => {
    const folder = `${fixturesHome}/${fileId(source.path)}`;
    const note = tree.read(`${folder}/SOURCE.md`);
    const at = {
      path: `${folder}/SOURCE.md`,
      line: 1,
      why: 'the folder is the specification of the provider',
    };
    if (note === undefined) {
      return [
        {
          ...at,
          what: 'the file is not there',
          remedy: 'say where each recording comes from, its date, what was removed',
        },
      ];
    }
    const cases = new Set(casesOf(tree, folder).flatMap((name) => name.split('-')));
    const missing = fixtureKinds.filter((kind) => !cases.has(kind) && !skips(note, kind));
    return missing.map((kind) => ({
      ...at,
      what: `no case for «${kind}»`,
      remedy: `add a folder such as ${folder}/${exampleCase(kind)}/, or a line «skip ${kind}: reason» here`,
    }));
  });
}

function casesOf(tree: Tree, folder: string): string[] {
  const inside = tree.paths.filter((file) => file.startsWith(`${folder}/`));
  const names = inside.flatMap((file) =>
    file
      .slice(folder.length + 1)
      .split('/')
      .slice(0, -1),
  );
  return [...new Set(names)];
}

function skips(note: string, kind: string): boolean {
  return new RegExp(`^\\W*skip ${kind}: \\S`, 'm').test(note);
}

export function exampleCase(kind: string): string {
  if (/^\d+$/.test(kind)) return `error-${kind}`;
  return kind === 'cut' ? 'stream-cut' : `chat-${kind}`;
}
