/**
 * The place of a route. Segments of a pattern are literal, `{name}` (one segment), `{name*}` (one or
 * more segments, only as the last) or either of these followed by a literal that starts with a
 * colon, as in `/v1beta/models/{model*}:generateContent`.
 */
export type RoutePlace = {
  readonly pattern: string;
  readonly methods: readonly string[];
};

export type PathParameters = Readonly<Record<string, string>>;

export type RouteMatch<Route> =
  | { readonly kind: 'found'; readonly route: Route; readonly parameters: PathParameters }
  /** The path exists, but not with this method; `route` is one of its routes. */
  | { readonly kind: 'wrong-method'; readonly route: Route; readonly allow: string }
  | { readonly kind: 'unknown' }
  /** The path cannot be decoded, or hides a separator, a dot segment or a control character. */
  | { readonly kind: 'malformed' };

type Segment = {
  readonly kind: 'literal' | 'one' | 'rest';
  /** The literal, or the parameter's name. */
  readonly text: string;
  readonly suffix: string;
};

type Node<Route> = {
  readonly pattern: string;
  readonly segments: readonly Segment[];
  readonly byMethod: Map<string, Route>;
  allow: string;
};

const noParameters: PathParameters = Object.freeze({});
const found = 'found';

/** Finds the route of a method and a path. Built once; throws RangeError on a bad or double route. */
export type RouteTable<Route> = {
  match(method: string, path: string): RouteMatch<Route>;
};

/** Builds the table. Literal segments win over parameters, earlier segments decide first. */
export function createRouteTable<Route extends RoutePlace>(
  routes: readonly Route[],
): RouteTable<Route> {
  const nodes = new Map<string, Node<Route>>();
  for (const route of routes) addRoute(nodes, route);
  const exact = new Map<string, Node<Route>>();
  const open: Node<Route>[] = [];
  for (const node of nodes.values()) {
    node.allow = allowedMethods(node.byMethod);
    if (node.segments.every(({ kind }) => kind === 'literal')) exact.set(node.pattern, node);
    else open.push(node);
  }
  open.sort(bySpecificity);

  function match(method: string, path: string): RouteMatch<Route> {
    const node = exact.get(path);
    if (node !== undefined) return choose(node, method, noParameters);
    if (!path.startsWith('/')) return { kind: 'unknown' };
    const parts = path.slice(1).split('/');
    for (const candidate of open) {
      const parameters = matchSegments(candidate.segments, parts);
      if (parameters === undefined) continue;
      if (parameters === 'malformed') return { kind: 'malformed' };
      return choose(candidate, method, parameters);
    }
    return { kind: 'unknown' };
  }

  return { match };
}

function addRoute<Route extends RoutePlace>(nodes: Map<string, Node<Route>>, route: Route): void {
  const { pattern, methods } = route;
  let node = nodes.get(pattern);
  if (node === undefined) {
    node = { pattern, segments: readPattern(pattern), byMethod: new Map(), allow: '' };
    nodes.set(pattern, node);
  }
  for (const method of methods) {
    if (node.byMethod.has(method)) throw new RangeError(`two routes for ${method} ${pattern}`);
    node.byMethod.set(method, route);
  }
}

function allowedMethods(byMethod: ReadonlyMap<string, unknown>): string {
  const methods = new Set(byMethod.keys());
  if (methods.has('GET')) methods.add('HEAD');
  methods.add('OPTIONS');
  return [...methods].toSorted().join(', ');
}

function choose<Route>(
  node: Node<Route>,
  method: string,
  parameters: PathParameters,
): RouteMatch<Route> {
  const { byMethod } = node;
  const route = byMethod.get(method) ?? (method === 'HEAD' ? byMethod.get('GET') : undefined);
  if (route !== undefined) return { kind: found, route, parameters };
  for (const other of byMethod.values())
    return { kind: 'wrong-method', route: other, allow: node.allow };
  return { kind: 'unknown' };
}

function readPattern(pattern: string): Segment[] {
  if (!pattern.startsWith('/')) throw new RangeError(`a route pattern starts with "/": ${pattern}`);
  const parts = pattern.slice(1).split('/');
  return parts.map((part, index) => {
    const parameter = /^\{([A-Za-z]+)(\*?)\}(:[A-Za-z]+)?$/.exec(part);
    if (parameter === null) {
      if (/[{}]/.test(part))
        throw new RangeError(`bad segment "${part}" in route pattern ${pattern}`);
      return { kind: 'literal', text: part, suffix: '' };
    }
    const [, text = '', star = '', suffix = ''] = parameter;
    if (star === '') return { kind: 'one', text, suffix };
    if (index !== parts.length - 1) throw new RangeError(`{${text}*} must be last in ${pattern}`);
    return { kind: 'rest', text, suffix };
  });
}

function bySpecificity(left: Node<unknown>, right: Node<unknown>): number {
  const length = Math.max(left.segments.length, right.segments.length);
  for (let index = 0; index < length; index++) {
    const difference = rank(left.segments[index]) - rank(right.segments[index]);
    if (difference !== 0) return difference;
  }
  return 0;
}

function rank(segment: Segment | undefined): number {
  if (segment === undefined) return 5;
  if (segment.kind === 'literal') return 0;
  return (segment.kind === 'one' ? 1 : 3) + (segment.suffix === '' ? 1 : 0);
}

function matchSegments(
  segments: readonly Segment[],
  parts: readonly string[],
): PathParameters | 'malformed' | undefined {
  const last = segments.at(-1);
  if (last?.kind === 'rest' ? parts.length < segments.length : parts.length !== segments.length) {
    return undefined;
  }
  const parameters: Record<string, string> = {};
  for (const [index, { kind, text, suffix }] of segments.entries()) {
    const part = kind === 'rest' ? parts.slice(index).join('/') : (parts[index] ?? '');
    if (kind === 'literal') {
      if (part !== text) return undefined;
      continue;
    }
    if (part.length <= suffix.length || !part.endsWith(suffix)) return undefined;
    const value = decodeParameter(part.slice(0, part.length - suffix.length));
    if (value === undefined) return 'malformed';
    parameters[text] = value;
  }
  return parameters;
}

/** The decoded text of a parameter; undefined when another reader could see another path in it. */
function decodeParameter(text: string): string | undefined {
  let decoded = text;
  if (text.includes('%')) {
    try {
      decoded = decodeURIComponent(text);
    } catch {
      return undefined;
    }
  }
  for (const segment of decoded.split('/')) {
    if (segment === '' || segment === '.' || segment === '..') return undefined;
  }
  return hasUnsafeCharacter(decoded) ? undefined : decoded;
}

function hasUnsafeCharacter(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x20 || code === 0x7f || code === 0x5c) return true;
  }
  return false;
}
