/** The configuration file: YAML to settings. Every complaint names the line and what to write instead. */

import {
  isMap,
  isNode,
  isScalar,
  LineCounter,
  parseDocument,
  visit,
  type Document,
  type Scalar,
} from 'yaml';
import { builtInModels, createCatalog, nearestNames } from '#catalog';
import { providersById } from '#providers';
import * as z from 'zod';
import { checkAddresses, likelyBranch, resolveChannel, simulatorId } from './channels.ts';
import { ConfigError, type Environment } from './config-error.ts';
import { configSchema, type Config } from './config-schema.ts';

type Path = readonly (string | number)[];
type Issue = z.core.$ZodIssue;
/** `FILE:LINE:COLUMN` of a setting, or of the nearest one above it. */
type Locate = (path: Path) => string;

const complaintsMax = 5;

/** Reads and checks the text of a file. Throws {@link ConfigError}; `file` is its name there. */
export function parseConfig(text: string, file: string, environment: Environment): Config {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const [syntax] = document.errors;
  if (syntax) throw new ConfigError(`${at(syntax.pos[0])}: ${yamlComplaint(syntax.message)}`);
  expandVariables(document, environment, at);
  const locate: Locate = (path) => at(offsetOf(document, path));
  const value = plainValue(document, file);
  const result = configSchema.safeParse(value);
  if (!result.success) {
    const complaints = result.error.issues.flatMap((issue) => complain(issue, locate, value));
    throw new ConfigError(complaints.slice(0, complaintsMax).join('\n'));
  }
  checkReferences(result.data, environment, locate);
  return result.data;
}

function yamlComplaint(message: string): string {
  const first = (message.split('\n')[0] ?? '').replace(/ at line \d+.*$/, '');
  const remedy = first.includes('unique')
    ? ' Each setting may be written once; put both parts under one.'
    : ' Check indentation (spaces, no tabs), colons and quotes here.';
  return `this is not valid YAML: ${first}.${remedy}`;
}

function plainValue(document: Document, file: string): unknown {
  const value: unknown = readAliases(document, file);
  // An empty file, or one of comments only.
  if (value === null || value === undefined) return {};
  if (typeof value === 'object' && !Array.isArray(value)) {
    // `listen:` whose lines are all commented out is a group that says nothing.
    return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== null));
  }
  throw new ConfigError(
    `${file}:1:1: the file must hold settings, such as \`listen:\` on a line of its own. All are in docs/reference/configuration.md.`,
  );
}

function readAliases(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new ConfigError(`${file}: ${error instanceof Error ? error.message : String(error)}.`);
  }
}

/** `${NAME}` in any text, from the environment. A missing one is an error, never an empty key. */
function expandVariables(
  document: Document,
  environment: Environment,
  at: (offset: number) => string,
): void {
  visit(document, {
    Alias(_, node) {
      if (node.resolve(document) !== undefined) return;
      throw new ConfigError(
        `${at(node.range?.[0] ?? 0)}: the alias *${node.source} names nothing above. Set \`&${node.source}\` there, or put the text in quotes.`,
      );
    },
    Scalar(_, node: Scalar) {
      if (typeof node.value !== 'string') return;
      node.value = node.value.replace(/\$\{([A-Za-z_]\w*)\}/g, (_match, name: string) => {
        const found = environment[name];
        if (found !== undefined && found !== '') return found;
        throw new ConfigError(
          `${at(node.range?.[0] ?? 0)}: the variable ${name} is not set. Set it, or write the value itself instead of \${${name}}.`,
        );
      });
    },
  });
}

/** Where a setting is written: its name if it has one, else its value, else what contains it. */
function offsetOf(document: Document, path: Path): number {
  for (let length = path.length; length > 0; length -= 1) {
    const parent: unknown = document.getIn(path.slice(0, length - 1), true);
    const name = path[length - 1];
    const pair = isMap(parent)
      ? parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(name))
      : undefined;
    if (isNode(pair?.key) && pair.key.range) return pair.key.range[0];
    const node: unknown = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}

/** One line for each thing that is wrong. */
function complain(issue: Issue, locate: Locate, value: unknown): readonly string[] {
  const path = issue.path as Path;
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `${locate([...path, key])}: ${unknownSetting(path, key)}`);
  }
  const inner = issue.code === 'invalid_union' ? likelyBranch(issue.errors) : undefined;
  if (inner !== undefined) {
    return inner.flatMap((each) =>
      complain({ ...each, path: [...issue.path, ...each.path] }, locate, value),
    );
  }
  const name = path.length === 0 ? '' : `\`${nameOf(path)}\`: `;
  const branches = issue.code === 'invalid_union' ? issue.errors.map(([first]) => first) : [issue];
  const what = [...new Set(branches.map((each) => wording(each?.message ?? '')))].join(', or ');
  return [`${locate(path)}: ${name}${what}.${remedyFor(issue, value)}`];
}

function wording(message: string): string {
  return message
    .replace(/^(Invalid (input|option|string|URL)|Too big|Too small): /, '')
    .replace(/, received undefined$/, ', but nothing is here');
}

function remedyFor(issue: Issue, value: unknown): string {
  const meaning = schemaAt(issue.path as Path)?.description;
  if (meaning !== undefined) return ` ${meaning}`;
  const given = valueAt(value, issue.path as Path);
  const isText = issue.code === 'invalid_type' && issue.expected === 'string';
  return isText && typeof given === 'number' ? ` Write it in quotes: "${given}".` : '';
}

function valueAt(value: unknown, path: Path): unknown {
  let inner: unknown = value;
  for (const name of path) {
    inner = typeof inner === 'object' && inner !== null ? Reflect.get(inner, name) : undefined;
  }
  return inner;
}

/** `channels[0].models`, as one would write it. */
function nameOf(path: Path): string {
  const parts = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`));
  return parts.join('').replace(/^\./, '');
}

function unknownSetting(path: Path, key: string): string {
  const schema = schemaAt(path);
  const readings = schema instanceof z.ZodUnion ? schema.options : [schema];
  const known = readings.flatMap((reading) =>
    reading instanceof z.ZodObject ? Object.keys(reading.shape) : [],
  );
  const [nearest] = nearestNames(key, known, 1);
  const place = path.length === 0 ? '' : ` under \`${nameOf(path)}\``;
  const remedy =
    nearest === undefined
      ? `Known here: ${known.map((name) => `\`${name}\``).join(', ')}.`
      : `Did you mean \`${nearest}\`?`;
  return `there is no setting \`${key}\`${place}. ${remedy}`;
}

/** The schema of a setting, without its default and its wrappers. */
function schemaAt(path: Path): z.ZodType | undefined {
  let schema: z.core.$ZodType | undefined = configSchema;
  for (const name of path) {
    schema = schema === undefined ? undefined : childOf(bare(schema), name);
  }
  if (schema === undefined) return undefined;
  const inner = bare(schema) as z.ZodType;
  const outer = (schema as z.ZodType).description;
  return outer === undefined || inner.description !== undefined ? inner : inner.describe(outer);
}

function childOf(schema: z.core.$ZodType, name: string | number): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodObject) return (schema.shape as Record<string, z.ZodType>)[name];
  if (schema instanceof z.ZodArray) return typeof name === 'number' ? schema.element : undefined;
  if (schema instanceof z.ZodRecord) return schema.valueType;
  if (schema instanceof z.ZodUnion)
    return schema.options.map((reading) => childOf(bare(reading), name)).find(Boolean);
  return undefined;
}

function bare(schema: z.core.$ZodType): z.core.$ZodType {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  ) {
    return bare(schema.unwrap());
  }
  return schema;
}

/** What only makes sense together: channels with their providers, aliases with their models. */
function checkReferences(config: Config, environment: Environment, locate: Locate): void {
  const ids = new Set<string>();
  for (const [index, channel] of config.channels.entries()) {
    const where = locate(['channels', index, 'id']);
    if (ids.has(channel.id)) {
      throw new ConfigError(
        `${where}: there is a channel \`${channel.id}\` above already. Give this one another id.`,
      );
    }
    ids.add(channel.id);
    if (config.simulator && channel.id === simulatorId) {
      throw new ConfigError(
        `${where}: \`${channel.id}\` is the channel of the built-in simulator. Give this one another id, or set \`simulator: false\`.`,
      );
    }
    located(where, () => {
      resolveChannel(channel, providersById, environment);
      checkAddresses(channel);
    });
  }
  for (const [index, model] of config.models.entries())
    for (const provider of Object.keys(model.offers)) {
      if (providersById[provider]) continue;
      const near = nearestNames(provider, Object.keys(providersById), 1)[0];
      const hint = near === undefined ? '' : ` Did you mean \`${near}\`?`;
      throw new ConfigError(
        `${locate(['models', index, 'offers', provider])}: there is no provider \`${provider}\`.${hint} A channel without a provider names its models itself.`,
      );
    }
  const aliases = Object.entries(config.aliases);
  if (aliases.length === 0) return;
  const catalog = createCatalog(builtInModels(), { aliases: {}, models: config.models });
  for (const [alias, target] of aliases) {
    if (catalog.find(target)) continue;
    const near = catalog.nearest(target, 3).map((name) => `\`${name}\``);
    const hint = near.length === 0 ? '' : ` Near are ${near.join(', ')}.`;
    throw new ConfigError(
      `${locate(['aliases', alias])}: there is no model \`${target}\`.${hint} \`manifold models --all\` lists them. A model that only a channel knows gets its other name there: \`models: {${alias}: ${target}}\`.`,
    );
  }
}

function located(where: string, check: () => unknown): void {
  try {
    check();
  } catch (error) {
    if (error instanceof ConfigError) throw new ConfigError(`${where}: ${error.message}`);
    throw error;
  }
}
