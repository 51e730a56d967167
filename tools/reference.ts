/** The reference pages that are made from the program itself: settings, commands, paths, providers. */

import * as z from 'zod';
import { commandForms, commandOptions, configSchema, synopsis } from '#cli';
import { controlPrefix, controlRoutes } from '#control';
import { gatewayRoutes } from '#gateway';
import { providersById } from '#providers';

export type Page = { readonly path: string; readonly text: string };

/** JSON Schema, as far as these pages read it. */
type Schema = {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly anyOf?: readonly Schema[];
};

/** `{{name}}` in a template is replaced by what the program says about itself. */
const blocks: Readonly<Record<string, () => string>> = {
  settings: () => settingsTable(schemaOf(), ''),
  'channel-settings': () => settingsTable(itemsOf('channels'), ''),
  'model-settings': () => settingsTable(itemsOf('models'), ''),
  commands,
  'data-paths': dataPaths,
  'control-paths': controlPaths,
  providers: providerTable,
};

const begins = /<!-- generated: ([a-z-]+) -->/;

/** The page with its generated blocks written anew. Throws when it names a block that nobody makes. */
export function refreshed(page: string): string {
  const lines: string[] = [];
  let skipping = false;
  for (const line of page.split('\n')) {
    if (line === '<!-- end of generated -->') skipping = false;
    if (skipping) continue;
    lines.push(line);
    const name = begins.exec(line)?.[1];
    if (name === undefined) continue;
    const make = blocks[name];
    if (make === undefined) throw new Error(`nobody makes the block ${name}`);
    lines.push('', make(), '');
    skipping = true;
  }
  return lines.join('\n');
}

function schemaOf(): Schema {
  return z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }) as Schema;
}

function itemsOf(name: string): Schema {
  return schemaOf().properties?.[name]?.items ?? {};
}

function settingsTable(schema: Schema, prefix: string): string {
  const rows = settingRows(schema, prefix);
  return markdownTable(['setting', 'type', 'default', 'meaning'], rows);
}

function settingRows(schema: Schema, prefix: string): readonly (readonly string[])[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, setting]) => {
    const own = [
      `\`${prefix}${name}\``,
      typeOf(setting),
      schema.required?.includes(name) === true ? 'required' : defaultOf(setting),
      setting.description ?? '',
    ];
    // A group shows its settings; only what it says itself deserves a row.
    if (setting.properties === undefined) return [own];
    const inner = settingRows(setting, `${prefix}${name}.`);
    return setting.description === undefined ? inner : [own, ...inner];
  });
}

function typeOf(schema: Schema): string {
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  if (schema.enum) return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (schema.anyOf) return [...new Set(schema.anyOf.map(typeOf))].join(' or ');
  if (schema.type === 'array') return `list of ${typeOf(schema.items ?? {})}`;
  if (schema.type !== 'object') return schema.type ?? 'anything';
  const { additionalProperties: values } = schema;
  return typeof values === 'object' ? `map to ${typeOf(values)}` : 'group';
}

function defaultOf({ default: value }: Schema): string {
  if (value === undefined || (typeof value === 'object' && Object.keys(value ?? {}).length === 0)) {
    return '–';
  }
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

function commands(): string {
  return commandForms
    .map((form) => {
      const rows = form.options.map((name) => {
        const option: { readonly means: string } = commandOptions[name];
        return [`\`--${name}\``, option.means];
      });
      const options = rows.length === 0 ? '' : `\n\n${markdownTable(['option', 'meaning'], rows)}`;
      return `### ${form.words}\n\n\`${synopsis(form)}\`: ${form.does}.${options}`;
    })
    .join('\n\n');
}

/** Routes are made without being called, so that they need no services. */
function dataPaths(): string {
  const routes = gatewayRoutes(undefined as never);
  const rows = routes.map((route) => [
    `\`${(route.methods ?? ['any']).join(', ')}\``,
    `\`${route.pattern.replace('*}', '}')}\``,
    route.dialect.id,
  ]);
  return markdownTable(['method', 'path', 'errors as in'], rows);
}

function controlPaths(): string {
  const rows = controlRoutes.map((route) => [
    `\`${route.method.toUpperCase()}\``,
    `\`${controlPrefix}${route.path}\``,
    route.summary,
    Object.keys(route.query?.shape ?? {})
      .map((name) => `\`${name}\``)
      .join(', '),
  ]);
  return markdownTable(['method', 'path', 'what it does', 'query'], rows);
}

function providerTable(): string {
  const rows = Object.values(providersById)
    .filter(({ id }) => !id.startsWith('compatible-') && id !== 'simulator')
    .map(({ id, label, environment, baseUrl, parameters }) => [
      `\`${id}\``,
      label,
      environment.map((name) => `\`${name}\``).join(', '),
      `\`${baseUrl}\``,
      Object.entries(parameters ?? {})
        .map(([name, { meaning, environment: variable, fallback }]) => {
          const source = variable === undefined ? '' : `, \`${variable}\``;
          return `\`${name}\`: ${meaning}${source}${fallback === undefined ? '' : `, else \`${fallback}\``}`;
        })
        .join('; '),
    ]);
  return markdownTable(['provider', 'vendor', 'variable', 'address', 'parameters'], rows);
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
