/**
 * Every command with its words and options, as data: read by the command line, printed by
 * `manifold help`, and written to docs/reference/cli.md by `npm run gen`.
 */

import { version } from './version.ts';

export type OptionName = keyof typeof options;

export type Form = {
  /** The command as one writes it; words in capitals stand for something, `[…]` may be left out. */
  readonly words: string;
  readonly options: readonly OptionName[];
  readonly does: string;
};

/** What an option stands for (absent: it is a switch) and what it is for. */
type OptionMeaning = { readonly value?: string; readonly means: string; readonly short?: string };

/** All options. `config` and `help` belong to every command, `version` to none. */
export const options = {
  config: { value: 'FILE', short: 'c', means: 'configuration; default: manifold.yaml, if there' },
  help: { short: 'h', means: 'shows how the command is called' },
  version: { short: 'v', means: 'says which version this is' },
  port: { value: 'N', short: 'p', means: 'port of the server' },
  host: { value: 'ADDRESS', means: 'address of the server' },
  workers: { value: 'N', means: 'processes that serve; one for each processor at most' },
  recordings: { value: 'DIR', means: 'recorded exchanges that the simulator answers with' },
  profile: { value: 'DIR', means: 'folder for profiles of processor and heap, written at the end' },
  script: { value: 'FILE', means: 'faults of the simulator, as JSON' },
  name: { value: 'NAME', means: 'what the key is for' },
  wallet: { value: 'ID', means: 'whose balance the key spends; default: wallet_demo' },
  limits: { value: 'JSON', means: 'limits, for example {"requests_per_minute":60}' },
  expires: { value: 'DATE', means: 'day or moment (UTC) from which the key is refused' },
  provider: { value: 'NAME', means: 'vendor of the channel' },
  dialect: { value: 'NAME', means: 'dialect of an endpoint without a provider of its own' },
  secret: { value: 'KEY', means: 'key at the vendor; default: from the environment' },
  'base-url': { value: 'URL', means: 'address, where it is not the usual one of the vendor' },
  models: { value: 'A,B', means: 'models of the channel; default: all that are known' },
  prices: { value: 'JSON', means: '`free`, or US dollars per million units for these models' },
  'allow-private': { means: 'allows a private or loopback address' },
  note: { value: 'TEXT', means: 'kept on the receipt' },
  reason: { value: 'TEXT', means: 'kept on the receipt' },
  kind: { value: 'KIND', means: 'paid (default), gift, invite or demo' },
  amount: { value: 'USD', means: 'less than the whole lot' },
  all: { means: 'the whole catalog, also what no channel offers' },
  json: { means: 'for programs' },
} as const satisfies Readonly<Record<string, OptionMeaning>>;

export const forms: readonly Form[] = [
  { words: 'serve', options: ['port', 'host', 'workers', 'recordings', 'profile'], does: 'serves' },
  {
    words: 'sim',
    options: ['port', 'host', 'recordings', 'script'],
    does: 'runs the vendor simulator alone',
  },
  {
    words: 'key create',
    options: ['name', 'wallet', 'limits', 'expires'],
    does: 'makes an sk- key and shows it once',
  },
  { words: 'key list', options: [], does: 'lists keys without their secrets' },
  { words: 'key revoke KEY_ID', options: [], does: 'refuses a key from now on' },
  {
    words: 'channel add ID',
    options: ['provider', 'dialect', 'base-url', 'secret', 'models', 'prices', 'allow-private'],
    does: 'adds a way to a vendor; a running server takes it',
  },
  { words: 'channel list', options: [], does: 'lists where requests can go' },
  {
    words: 'channel status [ID]',
    options: ['json', 'host', 'port'],
    does: 'shows health and limits as a running server sees them',
  },
  { words: 'channel test [ID]', options: [], does: 'asks each channel one short question' },
  { words: 'channel remove ID', options: [], does: 'removes a channel made with channel add' },
  { words: 'models', options: ['all'], does: 'lists models with prices and channels' },
  {
    words: 'route explain REQUEST_ID',
    options: ['json'],
    does: 'says why a request went where it went',
  },
  {
    words: 'ledger verify',
    options: [],
    does: 'recomputes every balance, every charge and the chain of receipts',
  },
  { words: 'ledger balance [WALLET]', options: [], does: 'shows a balance and its lots' },
  { words: 'ledger statement [WALLET]', options: [], does: 'shows the last 50 receipts' },
  { words: 'ledger receipt ID', options: [], does: 'shows one receipt with its arithmetic' },
  { words: 'ledger export [WALLET]', options: [], does: 'writes all receipts, one JSON a line' },
  {
    words: 'ledger topup WALLET USD',
    options: ['kind', 'note'],
    does: 'adds money to a wallet',
  },
  {
    words: 'ledger refund WALLET LOT_ID',
    options: ['amount', 'reason'],
    does: 'gives money of a lot back',
  },
  {
    words: 'doctor',
    options: [],
    does: 'checks configuration, folder, port, database and channels, and says what to do',
  },
];

const common: readonly OptionName[] = ['config', 'help'];

/** Literal words of a form, without what stands for something. */
function literals(form: Form): readonly string[] {
  return form.words.split(' ').filter((word) => /^[a-z]+$/.test(word));
}

/** The form that these words call, if there is one. */
export function formOf(words: readonly string[]): Form | undefined {
  return forms.find((form) => literals(form).every((word, index) => words[index] === word));
}

/** The forms of one command, `key` for example. */
export function formsOf(command: string): readonly Form[] {
  return forms.filter(({ words }) => words.split(' ')[0] === command);
}

/** What does not belong to the form, in words; `undefined` when all does. */
export function surplus(
  form: Form,
  words: readonly string[],
  given: readonly string[],
): string | undefined {
  const extra = words[form.words.split(' ').length];
  if (extra !== undefined) return `\`${extra}\` is one word too many.`;
  const allowed: readonly string[] = [...common, ...form.options];
  const strange = given.find((name) => !allowed.includes(name));
  return strange === undefined ? undefined : `--${strange} does not belong to this command.`;
}

export function synopsis(form: Form): string {
  const parts = form.options.map((name) => `[${optionText(name)}]`);
  return ['manifold', form.words, ...parts].join(' ');
}

export function optionText(name: OptionName): string {
  const option: OptionMeaning = options[name];
  return option.value === undefined ? `--${name}` : `--${name} ${option.value}`;
}

/** Help for some forms, with what their options mean. */
export function help(shown: readonly Form[]): string {
  const names = [...new Set(shown.flatMap((form) => form.options)), ...common];
  const width = Math.max(...names.map((name) => optionText(name).length));
  const meanings = names.map(
    (name) => `  ${optionText(name).padEnd(width)}  ${options[name].means}`,
  );
  const calls = shown.flatMap((form) => [`  ${synopsis(form)}`, `      ${form.does}`]);
  return [...calls, '', ...meanings].join('\n');
}

/** All commands, a line each. */
export function usage(): string {
  const width = Math.max(...forms.map(({ words }) => words.length));
  const rows = forms.map(({ words, does }) => `  manifold ${words.padEnd(width)}  ${does}`);
  return [
    `manifold ${version()}: one endpoint, one key and one balance over every model`,
    '',
    ...rows,
    '',
    '`manifold COMMAND --help` shows its options. Every command takes --config FILE; the data folder',
    'is named in it or in MANIFOLD_DATA. `manifold --version` says which version this is.',
  ].join('\n');
}
