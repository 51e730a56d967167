/** Money is counted in whole nano-dollars; nothing on its way may be a floating-point number. */

import { find, ofSrc } from './code.ts';
import type { Finding, SyntaxNode, Tree } from './tree.ts';
import { isNode, nameOf, nodesOf, visit } from './tree.ts';

/** Where amounts are computed. The estimate of tokens beside them is not money. */
const moneyFiles = /^src\/(ledger\/|metering\/(?!.*estimate))/;

type Place = { readonly path: RegExp; readonly text: RegExp; readonly reason: string };

/** Divisions and conversions that are right, each with its reason. */
const allowedPlaces: readonly Place[] = [
  {
    path: /^src\/ledger\//,
    text: /^Number\((row\[')?(atMs|position|start)('\])?\)$/,
    reason: 'a moment or a position in a page cursor, a row or a scope key',
  },
  {
    path: /^src\/metering\/rate\.ts$/,
    text: /^Number\(price\)$/,
    reason: 'shown on the receipt, not computed with',
  },
];

const why = 'a float loses nano-dollars, and nobody notices';
const remedy = 'whole numbers: BigInt for products and quotients, nanoUsd() to come back';

export function noFloatMoney(tree: Tree): Finding[] {
  return ofSrc(tree)
    .filter((source) => moneyFiles.test(source.path))
    .flatMap((source) => {
      const bigNames = bigIntNames(source.program);
      return find(source, (node, parent) => {
        const what = floatOperation(node, bigNames);
        const text = source.text.slice(node.start, node.end);
        if (what === undefined || isAllowed(source.path, text)) return undefined;
        return roundsNoAmount(node, parent, text) ? undefined : { what, why, remedy };
      });
    });
}

function floatOperation(node: SyntaxNode, bigNames: ReadonlySet<string>): string | undefined {
  if (node.type === 'CallExpression') {
    const callee = node['callee'];
    const name = nameOf(callee) ?? (isNode(callee) ? nameOf(callee['property']) : undefined) ?? '';
    return /^(parseFloat|Number|toFixed)$/.test(name)
      ? `${name}() where money is counted`
      : undefined;
  }
  const divides = /^\/=?$/.test(String(node['operator']));
  if (divides && (node.type === 'BinaryExpression' || node.type === 'AssignmentExpression')) {
    const isWhole = isBigInt(node['left'], bigNames) || isBigInt(node['right'], bigNames);
    return isWhole ? undefined : 'a division that may leave the whole numbers';
  }
  const value = node.type === 'Literal' ? node['value'] : undefined;
  const isFraction = typeof value === 'number' && !Number.isInteger(value);
  return isFraction ? 'a fraction where money is counted' : undefined;
}

/** Certain to be BigInt by its form: `1n`, a call of BigInt, a name declared so, or a sum of such. */
function isBigInt(value: unknown, bigNames: ReadonlySet<string>): boolean {
  if (!isNode(value)) return false;
  if (value.type === 'Literal') return typeof value['bigint'] === 'string';
  if (value.type === 'Identifier') return bigNames.has(nameOf(value) ?? '');
  if (value.type === 'CallExpression') return nameOf(value['callee']) === 'BigInt';
  if (value.type !== 'BinaryExpression') return false;
  return isBigInt(value['left'], bigNames) || isBigInt(value['right'], bigNames);
}

function bigIntNames(program: SyntaxNode): Set<string> {
  const names = new Set<string>();
  visit(program, (node) => {
    const name = node.type === 'VariableDeclarator' ? nameOf(node['id']) : undefined;
    if (name !== undefined && isBigInt(node['init'], names)) names.add(name);
  });
  return names;
}

/** Rounding of time and of token counts, recognised by what it is made of: no amount takes part. */
function roundsNoAmount(node: SyntaxNode, parent: SyntaxNode | undefined, text: string): boolean {
  const callee = parent?.['callee'];
  const rounds = isNode(callee) && nameOf(callee['object']) === 'Math';
  return (
    rounds &&
    node.type === 'BinaryExpression' &&
    !/usd|amount|price|charge|balance|cost/i.test(text)
  );
}

function isAllowed(file: string, text: string): boolean {
  return allowedPlaces.some((place) => place.path.test(file) && place.text.test(text));
}

/** A name in NanoUsd promises the branded type. A sum without bounds may be a bigint: it is exact. */
export function nanoUsdIsTyped(tree: Tree): Finding[] {
  return ofSrc(tree)
    .filter((source) => source.path !== 'src/std/money.ts' && source.text.includes('anoUsd'))
    .flatMap((source) =>
      find(source, (node) => {
        const name = declaredName(node);
        if (name === undefined || !/[nN]anoUsd$/.test(name)) return undefined;
        const loose = looseType(node['typeAnnotation']);
        if (loose === undefined) return undefined;
        return {
          what: `${name} is declared as ${loose}`,
          why: 'any number fits, also dollars',
          remedy: "the type NanoUsd of '#std'",
        };
      }),
    );
}

function declaredName(node: SyntaxNode): string | undefined {
  if (node.type === 'Identifier') return nameOf(node);
  const isProperty = node.type === 'TSPropertySignature' || node.type === 'PropertyDefinition';
  return isProperty ? nameOf(node['key']) : undefined;
}

const looseTypes: { readonly [type: string]: string } = {
  TSNumberKeyword: 'number',
  TSStringKeyword: 'string',
};

function looseType(annotation: unknown): string | undefined {
  if (!isNode(annotation)) return undefined;
  const type = annotation['typeAnnotation'];
  if (!isNode(type)) return undefined;
  const members = type.type === 'TSUnionType' ? nodesOf(type['types']) : [type];
  return members.map((member) => looseTypes[member.type]).find((loose) => loose !== undefined);
}
