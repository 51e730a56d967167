/** Rules on single files of code: size, types, and calls that have one proper place. */

import type { Finding, Source, SyntaxNode, Tree } from './tree.ts';
import { isNode, lineAt, nameOf, visit } from './tree.ts';

const functionLinesMax = 70;
const fileLinesMax = 500;

/** A file of facts, one row each, does not become clearer by being cut. */
const longFilesAllowed = /\.gen\.ts$|^src\/catalog\/data\//;

export function shortFiles(tree: Tree): Finding[] {
  return tree.sources.flatMap((source) => {
    const lines = lineAt(source.text, source.text.length);
    if (lines <= fileLinesMax || longFilesAllowed.test(source.path)) return [];
    const what = `the file has ${lines} lines, the most is ${fileLinesMax}`;
    return [
      {
        path: source.path,
        line: fileLinesMax + 1,
        what,
        why: 'it holds more than one idea',
        remedy: 'split it by meaning',
      },
    ];
  });
}

const functionTypes = new Set([
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
]);

export function shortFunctions(tree: Tree): Finding[] {
  return shipped(tree).flatMap((source) =>
    find(source, (node) => {
      if (!functionTypes.has(node.type) || !isNode(node['body'])) return undefined;
      const lines = lineAt(source.text, node.end) - lineAt(source.text, node.start) + 1;
      if (lines <= functionLinesMax) return undefined;
      return {
        what: `the function has ${lines} lines, the most is ${functionLinesMax}`,
        why: 'it does not fit a screen',
        remedy: 'keep state and branches here, move pure work into functions of its own',
      };
    }),
  );
}

export function noAny(tree: Tree): Finding[] {
  return tree.sources
    .filter((source) => /\bany\b/.test(source.text))
    .flatMap((source) =>
      find(source, (node) =>
        node.type === 'TSAnyKeyword'
          ? {
              what: 'the type any',
              why: 'it turns the checker off for all that touch it',
              remedy: 'unknown, and a check',
            }
          : undefined,
      ),
    );
}

const suppression = /@ts-(ignore|nocheck|expect-error)|(oxlint|eslint)-disable/;

export function suppressionsGiveReasons(tree: Tree): Finding[] {
  return tree.sources.flatMap((source) =>
    source.comments.flatMap(({ text, start }) => {
      const found = suppression.exec(text);
      if (found === null || / -- \S+/.test(text)) return [];
      const why = 'a rule that is switched off in silence is no rule';
      const remedy = 'repair the cause, or give the reason after « -- »';
      return [
        {
          path: source.path,
          line: lineAt(source.text, start),
          what: `${found[0]} without a reason`,
          why,
          remedy,
        },
      ];
    }),
  );
}

/** The only places that may call the built-in parser: they have bounded depth and size before. */
const jsonParsers = ['src/std/json.ts', 'src/std/json-scan.ts'];

export function noNakedJsonParse(tree: Tree): Finding[] {
  const others = ofSrc(tree).filter(({ path }) => !jsonParsers.includes(path));
  return members(others, 'JSON', 'parse', {
    what: 'JSON.parse',
    why: 'what comes from outside may be deep, huge or broken',
    remedy: "parseJson from '#std'",
  });
}

export function noWeakSignals(tree: Tree): Finding[] {
  return members(ofSrc(tree), 'AbortSignal', 'any', {
    what: 'AbortSignal.any',
    why: 'its result may be collected before it is aborted',
    remedy: "JoinedAbort from '#upstream'",
  });
}

/** Where `object.name` stands. Sources without the word are not walked. */
function members(
  sources: readonly Source[],
  object: string,
  name: string,
  fault: Fault,
): Finding[] {
  return sources
    .filter(({ text }) => text.includes(object))
    .flatMap((source) =>
      find(source, (node) => (isMember(node, object, name) ? fault : undefined)),
    );
}

const mayPrint = /^src\/cli\//;

export function noConsole(tree: Tree): Finding[] {
  return ofSrc(tree)
    .filter((source) => !mayPrint.test(source.path) && source.text.includes('console'))
    .flatMap((source) =>
      find(source, (node, parent) => {
        if (
          node.type !== 'Identifier' ||
          nameOf(node) !== 'console' ||
          parent?.type !== 'MemberExpression'
        )
          return undefined;
        return {
          what: 'console',
          why: 'a server speaks through its log, which knows levels and secrets',
          remedy: 'the log of #telemetry',
        };
      }),
    );
}

type Fault = { readonly what: string; readonly why: string; readonly remedy: string };

export function find(
  source: Source,
  look: (node: SyntaxNode, parent: SyntaxNode | undefined) => Fault | undefined,
): Finding[] {
  const found: Finding[] = [];
  visit(source.program, (node, parent) => {
    const fault = look(node, parent);
    if (fault !== undefined)
      found.push({ path: source.path, line: lineAt(source.text, node.start), ...fault });
  });
  return found;
}

export function isMember(node: SyntaxNode, object: string, property: string): boolean {
  return (
    node.type === 'MemberExpression' &&
    nameOf(node['object']) === object &&
    nameOf(node['property']) === property
  );
}

function shipped(tree: Tree): Source[] {
  return tree.sources.filter((source) => !source.isTest && !source.isGenerated);
}

export function ofSrc(tree: Tree): Source[] {
  return shipped(tree).filter((source) => source.path.startsWith('src/'));
}
