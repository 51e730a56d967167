/**
 * Who may import whom. This table is the only place where it is said: tidy checks it, and the copy in
 * ARCHITECTURE.md is generated from it.
 */

export type ModuleRule = {
  readonly meaning: string;
  /** Other modules, entered by their door only. */
  readonly modules: readonly string[];
  /** Packages and Node built-ins; `node:*` allows all built-ins. */
  readonly outside: readonly string[];
};

const belowGateway = [
  'std',
  'canonical',
  'dialects',
  'providers',
  'catalog',
  'store',
  'ledger',
  'metering',
  'access',
  'routing',
  'telemetry',
  'upstream',
] as const;

const everything = [...belowGateway, 'gateway', 'control', 'simulator', 'workers', 'cli'] as const;

/** In an order in which every module comes after the ones it imports. */
export const importTable: { readonly [module: string]: ModuleRule } = {
  std: {
    meaning: 'pure tools: JSON, framing, money, ids, clock',
    modules: [],
    outside: ['node:buffer', 'node:crypto', 'node:zlib'],
  },
  canonical: {
    meaning: 'the neutral model of requests, answers, events, usage, errors',
    modules: ['std'],
    outside: [],
  },
  dialects: {
    meaning: 'wire formats as differences over the model',
    modules: ['canonical', 'std'],
    outside: [],
  },
  providers: {
    meaning: 'vendors, one file each, and what a channel is',
    modules: ['dialects', 'canonical', 'std'],
    outside: ['node:crypto', 'zod'],
  },
  catalog: {
    meaning: 'models, aliases, capabilities, dated prices: data',
    modules: ['canonical', 'std'],
    outside: ['node:fs', 'node:path', 'node:url', 'zod'],
  },
  store: {
    meaning: 'the database: engines, journal, migrations, coordination',
    modules: ['std'],
    outside: ['node:*', 'pg'],
  },
  ledger: {
    meaning: 'wallets, transfers, holds, receipts: amounts only',
    modules: ['store', 'std'],
    outside: ['node:crypto'],
  },
  metering: {
    meaning: 'usage tap, estimate, rating',
    modules: ['catalog', 'canonical', 'std'],
    outside: ['gpt-tokenizer'],
  },
  access: {
    meaning: 'keys, sessions, limits',
    modules: ['store', 'std'],
    outside: ['ipaddr.js', 'node:crypto', 'node:zlib', 'zod'],
  },
  routing: {
    meaning: 'which channel next: plan, balance, buckets, breakers',
    modules: ['catalog', 'store', 'std'],
    outside: [],
  },
  telemetry: {
    meaning: 'log, metrics, traces',
    modules: ['std'],
    outside: ['node:*'],
  },
  upstream: {
    meaning: 'one outbound attempt',
    modules: ['providers', 'canonical', 'std', 'telemetry'],
    outside: ['ipaddr.js', 'node:*', 'undici'],
  },
  gateway: {
    meaning: 'the data plane: the request walk',
    modules: belowGateway,
    outside: ['node:*'],
  },
  control: {
    meaning: 'the admin API',
    modules: ['access', 'ledger', 'catalog', 'routing', 'store', 'telemetry', 'std'],
    outside: ['@hono/node-server', 'hono', 'node:*', 'zod'],
  },
  workers: {
    meaning: 'several processes that serve as one: the owner of the books, and workers that ask it',
    modules: [...belowGateway, 'gateway'],
    outside: ['node:*'],
  },
  simulator: {
    meaning: 'a vendor of our own: recordings and faults in every dialect',
    modules: ['dialects', 'canonical', 'std'],
    outside: ['node:*', 'zod'],
  },
  cli: {
    meaning: 'the command line and its configuration file',
    modules: everything.filter((name) => name !== 'cli'),
    outside: ['node:*', 'yaml', 'zod'],
  },
  main: {
    meaning: 'the composition root: wires the modules and starts',
    modules: everything,
    outside: ['node:*'],
  },
};

/** The table as ARCHITECTURE.md prints it. */
export function importTableMarkdown(): string {
  const rows = Object.entries(importTable).map(([name, rule]) => {
    const modules = printedModules(rule.modules);
    const outside = rule.outside.length === 0 ? '–' : rule.outside.map(code).join(', ');
    return `| ${code(name)} | ${rule.meaning} | ${modules} | ${outside} |`;
  });
  return [
    '| module | what it holds | may import | from outside |',
    '| --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

function printedModules(modules: readonly string[]): string {
  if (modules.length === 0) return 'nothing';
  if (modules === belowGateway) return 'all above';
  if (modules.length >= everything.length - 1) return 'everything';
  return modules.map(code).join(', ');
}

function code(text: string): string {
  return `\`${text}\``;
}
