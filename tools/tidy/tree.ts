/** The source tree as tidy sees it: texts, and for TypeScript the syntax tree, read once and only when asked for. */

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { parseSync } from 'oxc-parser';

export type Finding = {
  readonly path: string;
  readonly line: number;
  readonly what: string;
  readonly why: string;
  readonly remedy: string;
};

/** A node of the syntax tree. Its other properties depend on its type and are read with care. */
export type SyntaxNode = {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [property: string]: unknown;
};

export type Comment = { readonly text: string; readonly start: number };

export type Source = {
  readonly path: string;
  readonly text: string;
  /** Module under src (`main` for src/main.ts), or undefined for tools and tests. */
  readonly module: string | undefined;
  readonly isTest: boolean;
  readonly isGenerated: boolean;
  readonly program: SyntaxNode;
  readonly comments: readonly Comment[];
  readonly imports: readonly Import[];
};

export type Import = { readonly specifier: string; readonly start: number };

export type Tree = {
  /** All paths, with `/`, relative to the root, sorted. */
  readonly paths: readonly string[];
  /** TypeScript files under src, tools and test. */
  readonly sources: readonly Source[];
  /** Text of a file, or undefined when there is none. */
  readonly read: (path: string) => string | undefined;
};

/** A tree from texts: what the tests plant their violations in. */
export function treeOf(texts: ReadonlyMap<string, string>): Tree {
  const paths = [...texts.keys()].sort();
  const sources = paths
    .filter((file) => /^(src|tools|test)\/.*\.ts$/.test(file) && !isFixture(file))
    .map((file) => parseSource(file, texts.get(file) ?? ''));
  return { paths, sources, read: (file) => texts.get(file) };
}

/** Every file of the checkout that git knows or would know; ignored ones are left out. */
export function treeOfFolder(root: string): Tree {
  const texts = new Map<string, string>();
  for (const file of listFiles(root)) {
    const absolute = path.join(root, file);
    if (!existsSync(absolute) || !statSync(absolute).isFile()) continue;
    texts.set(file, readFileSync(absolute, 'utf8'));
  }
  return treeOf(texts);
}

function listFiles(root: string): string[] {
  if (!existsSync(path.join(root, '.git'))) return walk(root, '');
  const arguments_ = ['ls-files', '--cached', '--others', '--exclude-standard', '-z'];
  const listing = execFileSync('git', arguments_, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  return listing.split('\0').filter((file) => file !== '');
}

const notPartOfTheTree = new Set(['node_modules', 'data', 'dist', '.cache', 'coverage']);

/** For a source archive, which has no git: the folders at the top that are never part of the tree. */
function walk(root: string, folder: string): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const file = path.posix.join(folder, entry.name);
    if (notPartOfTheTree.has(file)) return [];
    return entry.isDirectory() ? walk(root, file) : [file];
  });
}

export function isFixture(file: string): boolean {
  return file.startsWith('test/fixtures/');
}

function parseSource(file: string, text: string): Source {
  const parse = (): Pick<Source, 'program' | 'comments' | 'imports'> => {
    const result = parseSync(file, text);
    const program = toNode(result.program);
    return {
      program,
      comments: result.comments.map((comment) => ({ text: comment.value, start: comment.start })),
      imports: importsOf(program),
    };
  };
  let parsed: ReturnType<typeof parse> | undefined;
  return {
    path: file,
    text,
    module: /^src\/([^/]+)\//.exec(file)?.[1] ?? (file.startsWith('src/') ? 'main' : undefined),
    isTest: /(\.test|-rig)\.ts$/.test(file) || file.startsWith('test/'),
    isGenerated: file.endsWith('.gen.ts'),
    get program() {
      return (parsed ??= parse()).program;
    },
    get comments() {
      return (parsed ??= parse()).comments;
    },
    get imports() {
      return (parsed ??= parse()).imports;
    },
  };
}

function importsOf(program: SyntaxNode): Import[] {
  const found: Import[] = [];
  visit(program, (node) => {
    const isImport = /^(Import|ExportNamed|ExportAll)Declaration$|^ImportExpression$/.test(
      node.type,
    );
    const source = isImport
      ? node['source']
      : node.type === 'TSImportType'
        ? node['source']
        : undefined;
    if (isNode(source) && typeof source['value'] === 'string') {
      found.push({ specifier: source['value'], start: node.start });
    }
    const workerFile = urlOfNewUrl(node);
    if (workerFile !== undefined) found.push({ specifier: workerFile, start: node.start });
  });
  return found;
}

/** `new URL('./worker.ts', import.meta.url)` is an import as well. */
function urlOfNewUrl(node: SyntaxNode): string | undefined {
  if (node.type !== 'NewExpression' || nameOf(node['callee']) !== 'URL') return undefined;
  const [first] = nodesOf(node['arguments']);
  const value = first?.['value'];
  return typeof value === 'string' && value.startsWith('.') && value.endsWith('.ts')
    ? value
    : undefined;
}

/** The parser's own union of node types is far more than these rules look at. */
function toNode(program: object): SyntaxNode {
  if (!isNode(program)) throw new Error('the parser returned something that is not a program');
  return program;
}

export function isNode(value: unknown): value is SyntaxNode {
  return (
    typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
  );
}

export function nodesOf(value: unknown): SyntaxNode[] {
  return Array.isArray(value) ? value.filter(isNode) : [];
}

/** The name of an identifier node. */
export function nameOf(value: unknown): string | undefined {
  return isNode(value) && typeof value['name'] === 'string' ? value['name'] : undefined;
}

/** Calls `look` for the node and everything under it, parents first. */
export function visit(
  node: SyntaxNode,
  look: (node: SyntaxNode, parent: SyntaxNode | undefined, property: string) => void,
  parent?: SyntaxNode,
  property = '',
): void {
  look(node, parent, property);
  for (const key of Object.keys(node)) {
    const value = node[key];
    if (typeof value !== 'object' || value === null) continue;
    if (!Array.isArray(value)) {
      if (isNode(value)) visit(value, look, node, key);
    } else for (const item of value) if (isNode(item)) visit(item, look, node, key);
  }
}

/** Line of an offset, counted from 1. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1))
    line += 1;
  return line;
}
