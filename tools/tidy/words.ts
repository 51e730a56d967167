/** Words that stand for a thought not finished, and names that say nothing. */

import type { Finding, Source, SyntaxNode, Tree } from './tree.ts';
import { lineAt, nameOf, visit } from './tree.ts';

type BannedWord = { readonly word: string; readonly why: string; readonly remedy: string };

const unfinished = 'nothing half-done is kept in the tree';
const empty = 'the name says nothing about what is inside';
const short = 'the reader should not have to expand it';

const inComments: readonly BannedWord[] = [
  { word: 'FIXME', why: unfinished, remedy: 'repair it, or open an issue' },
  { word: 'TODO', why: unfinished, remedy: 'do it, or open an issue' },
  { word: 'XXX', why: unfinished, remedy: 'say what is the matter' },
  { word: 'hack', why: 'it excuses instead of explaining', remedy: 'say why it must be so' },
];

const inNames: readonly BannedWord[] = [
  { word: 'hack', why: empty, remedy: 'name what it does' },
  { word: 'utils', why: empty, remedy: 'name what the tools are for' },
  { word: 'util', why: empty, remedy: 'name what the tool is for' },
  { word: 'helper', why: empty, remedy: 'name what it does' },
  { word: 'helpers', why: empty, remedy: 'name what they do' },
  { word: 'manager', why: empty, remedy: 'name what it keeps or decides' },
  { word: 'msg', why: short, remedy: 'message' },
  { word: 'req', why: short, remedy: 'request' },
  { word: 'res', why: short, remedy: 'response, result or resource' },
  { word: 'opts', why: short, remedy: 'options' },
  { word: 'tmp', why: short, remedy: 'temporary, or what it holds' },
];

/** Whether a name can hold one of the words: files without them need no walk through their syntax. */
const anyInNames = new RegExp(
  inNames.map(({ word }) => `(?<![a-z])${word}(?![a-z])|${capitalized(word)}(?![a-z])`).join('|'),
);

function capitalized(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}

export function bannedWords(tree: Tree): Finding[] {
  return [
    ...tree.paths.filter((file) => /^(src|tools|test)\//.test(file)).flatMap(inPath),
    ...tree.sources.flatMap((source) => [...inSourceComments(source), ...inSourceNames(source)]),
  ];
}

function inPath(file: string): Finding[] {
  const name = file.split('/').pop() ?? file;
  if (file.startsWith('test/fixtures/')) return [];
  const words = name.toLowerCase().split(/[^a-z]+/);
  return inNames
    .filter(({ word }) => words.includes(word))
    .map(({ word, why, remedy }) => ({
      path: file,
      line: 1,
      what: `«${word}» in the name of a file`,
      why,
      remedy,
    }));
}

function inSourceComments(source: Source): Finding[] {
  return source.comments.flatMap(({ text, start }) =>
    inComments.flatMap(({ word, why, remedy }) => {
      const flags = word === word.toUpperCase() ? '' : 'i';
      const at = new RegExp(`\\b${word}s?\\b`, flags).exec(text)?.index;
      if (at === undefined) return [];
      return [
        {
          path: source.path,
          line: lineAt(source.text, start + at),
          what: `«${word}» in a comment`,
          why,
          remedy,
        },
      ];
    }),
  );
}

function inSourceNames(source: Source): Finding[] {
  if (!anyInNames.test(source.text)) return [];
  const found: Finding[] = [];
  visit(source.program, (node, parent, property) => {
    const name = node.type === 'Identifier' ? nameOf(node) : undefined;
    if (name === undefined || isForeign(parent, property)) return;
    const words = name.split(/(?=[A-Z])|_/).map((word) => word.toLowerCase());
    const banned = inNames.find(({ word }) => words.includes(word));
    if (banned === undefined) return;
    const what = `«${banned.word}» in the name ${name}`;
    found.push({
      path: source.path,
      line: lineAt(source.text, node.start),
      what,
      why: banned.why,
      remedy: banned.remedy,
    });
  });
  return found;
}

/** Names given by others: members of foreign objects, keys of a literal, what an import calls it. */
function isForeign(parent: SyntaxNode | undefined, property: string): boolean {
  if (parent === undefined) return false;
  if (parent.type === 'MemberExpression') return property === 'property';
  if (parent.type === 'Property') return property === 'key' && parent['shorthand'] !== true;
  return parent.type === 'ImportSpecifier' && property === 'imported';
}
