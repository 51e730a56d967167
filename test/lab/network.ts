/**
 * The network lab: an application and a vendor 200 ms of round trip and 1 % of lost packets apart,
 * behind TLS, in network namespaces. Time to first content without a gateway, and with one at either
 * end; and the choice among three addresses of which one is dead and one slow. All ways are asked in
 * turn, round by round, so that what the machine does meets all alike; a second direct way shows how much
 * of a difference is chance, and a bare relay what any further program on the way costs on this machine.
 *
 *   npm run lab:network [-- --requests 200]        needs root and iproute2
 */

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { parseJsonObject } from '#std';
import {
  away,
  awayAddress,
  deadAddress,
  folder,
  home,
  homeAddress,
  line,
  lossPerDirection,
  makeCertificates,
  makeNamespaces,
  oneWayMs,
  run,
  slowAddress,
  slowDown,
  startVendor,
} from './network-world.ts';
import { interval, median, percentile, seededRandom } from '../bench/statistics.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '240' },
    lanes: { type: 'string', default: '8' },
  },
});
const thinkMs = 50;
const problems: string[] = [];

type Gateway = { readonly url: string; readonly key: string };

async function startGateway(
  namespace: string,
  address: string,
  name: string,
  addresses: readonly string[],
): Promise<Gateway> {
  const file = path.join(folder, `${name}.yaml`);
  const channel = {
    id: 'vendor',
    dialect: 'openai-chat',
    base_urls: addresses.map((each) => `https://${each}:8443/v1`),
    secret: 'x',
    allow_private: true,
    models: { m: { prices: 'free' } },
  };
  const port = 8_000 + Math.floor(Math.random() * 1_000);
  writeFileSync(
    file,
    JSON.stringify({
      listen: { host: address, port },
      data: path.join(folder, name),
      simulator: false,
      channels: [channel],
      log_level: 'error',
    }),
  );
  const child = run(namespace, [process.execPath, 'src/main.ts', 'serve', '--config', file]);
  const [, key = ''] = await line(child, /^ {2}(sk-\S+)$/);
  return { url: `http://${address}:${port}/v1`, key };
}

async function startRelay(upstream: string): Promise<string> {
  const port = 9_443;
  const words = ['test/lab/network-relay.ts', homeAddress, String(port), upstream];
  await line(run(home, [process.execPath, ...words]), /^ready$/);
  return `http://${homeAddress}:${port}/v1`;
}

type Arm = {
  readonly name: string;
  readonly baseURL: string;
  readonly key: string;
  readonly mode: 'fresh' | 'kept';
};

/** Times by arm, in the order of the rounds; NaN where an error came. */
type Figures = {
  readonly times: readonly (readonly number[])[];
  readonly errors: readonly string[];
};

async function measure(
  arms: readonly Arm[],
  rounds = values.requests,
  lanes = values.lanes,
): Promise<Figures> {
  const child = run(home, [
    process.execPath,
    'test/lab/network-client.ts',
    JSON.stringify(arms),
    rounds,
    lanes,
  ]);
  const [text] = await line(child, /^\{.*\}$/);
  const report = parseJsonObject(text) as
    | { readonly times?: (number | null)[][]; readonly errors?: string[] }
    | undefined;
  const rows = report?.times ?? [];
  return {
    times: arms.map((_, index) => rows.map((row) => row[index] ?? Number.NaN)),
    errors: report?.errors ?? [],
  };
}

/** The ratio of two medians in per cent above 0, with a 95 % interval: rounds are drawn again, both ways together. */
function excess(
  ours: readonly number[],
  theirs: readonly number[],
): { readonly percent: number; readonly low: number; readonly high: number } {
  const random = seededRandom(1);
  const ratio = (rows: readonly number[]): number => {
    const pick = (times: readonly number[]): number[] =>
      rows.map((row) => times[row] ?? Number.NaN).filter(Number.isFinite);
    return 100 * (median(pick(ours)) / median(pick(theirs)) - 1);
  };
  const all = ours.map((_, index) => index);
  const drawn = Array.from({ length: 2_000 }, () =>
    ratio(all.map(() => Math.floor(random() * all.length))),
  );
  return { percent: ratio(all), low: percentile(drawn, 0.025), high: percentile(drawn, 0.975) };
}

function judge(what: string, isGood: boolean): void {
  console.log(`${isGood ? 'ok     ' : 'FAILED '} ${what}`);
  if (!isGood) problems.push(what);
}

async function lab(): Promise<void> {
  makeCertificates();
  await slowDown();
  await startVendor(awayAddress, thinkMs);
  await startVendor(slowAddress, thinkMs + 600);
  const near = await startGateway(home, homeAddress, 'near', [awayAddress]);
  const far = await startGateway(away, awayAddress, 'far', [awayAddress]);
  const several = await startGateway(home, homeAddress, 'several', [
    deadAddress,
    slowAddress,
    awayAddress,
  ]);
  const vendor = `https://${awayAddress}:8443/v1`;
  console.log(
    `round trip ${2 * oneWayMs} ms, ${lossPerDirection * 100} % loss each way, the vendor thinks ${thinkMs} ms; time to first content\n`,
  );
  const relay = await startRelay(`https://${awayAddress}:8443`);
  const kept = 'kept' as const;
  const arms: readonly Arm[] = [
    { name: 'direct, a fresh connection each', baseURL: vendor, key: 'x', mode: 'fresh' },
    { name: 'direct, kept connections', baseURL: vendor, key: 'x', mode: kept },
    { name: 'the same once more', baseURL: vendor, key: 'x', mode: kept },
    { name: 'a bare relay near the application', baseURL: relay, key: 'x', mode: kept },
    {
      name: 'gateway near the application, fresh connections to it',
      baseURL: near.url,
      key: near.key,
      mode: 'fresh',
    },
    {
      name: 'gateway near the application, kept connections to it',
      baseURL: near.url,
      key: near.key,
      mode: kept,
    },
    {
      name: 'gateway near the vendor, kept connections to it',
      baseURL: far.url,
      key: far.key,
      mode: kept,
    },
    {
      name: 'gateway near the application, 3 addresses: dead, slow, good',
      baseURL: several.url,
      key: several.key,
      mode: kept,
    },
  ];
  // Programs that have run for a while are compared: a cold one is compiled while it answers.
  await measure(arms.slice(relayArm), '800', '40');
  const { times, errors } = await measure(arms);
  report(arms, times, errors);
}

const [freshArm, keptArm, againArm, relayArm] = [0, 1, 2, 3] as const;
const gatewayArms = [4, 5, 6] as const;
const choiceArm = 7;

function report(arms: readonly Arm[], times: Figures['times'], errors: readonly string[]): void {
  const of = (index: number): readonly number[] => times[index] ?? [];
  const middle = (index: number): number => median(of(index).filter(Number.isFinite));
  console.log(
    'way | median | p95 | rounds | more than kept and direct (95 % interval) | per request',
  );
  for (const [index, { name }] of arms.entries()) {
    const more = excess(of(index), of(keptArm));
    const each = interval(of(index).map((time, row) => time - (of(keptArm)[row] ?? Number.NaN)));
    const p95 = percentile(of(index).filter(Number.isFinite), 0.95);
    console.log(
      [
        name.padEnd(58),
        `${middle(index).toFixed(1)} ms`,
        `${p95.toFixed(0)} ms`,
        of(index).length,
        `${more.percent.toFixed(1)} % (${more.low.toFixed(1)} to ${more.high.toFixed(1)})`,
        `${each.median.toFixed(1)} ms (${each.low.toFixed(1)} to ${each.high.toFixed(1)})`,
      ].join(' | '),
    );
  }
  const firstError = errors.length === 0 ? '' : `: ${errors[0]}`;
  console.log('');
  judge(`${errors.length} errors${firstError}`, errors.length === 0);
  const chance = excess(of(againArm), of(keptArm)).percent;
  const bare = excess(of(relayArm), of(keptArm)).percent;
  console.log(`       chance alone made ${chance.toFixed(1)} %, a bare relay ${bare.toFixed(1)} %`);
  for (const index of gatewayArms) {
    const name = arms[index]?.name ?? '';
    const less = 100 * (1 - middle(index) / middle(freshArm));
    judge(`${name}: ${less.toFixed(0)} % less than fresh and direct (goal 40 %)`, less >= 40);
    const more = excess(of(index), of(keptArm)).percent;
    judge(`${name}: ${more.toFixed(1)} % more than kept and direct (goal ≤ 2 %)`, more <= 2);
  }
  const choice = middle(choiceArm);
  const alone = middle(gatewayArms[1]);
  judge(
    `the good address was chosen: median ${choice.toFixed(0)} ms, ${alone.toFixed(0)} ms with it alone`,
    choice <= alone * 1.05,
  );
}

if (makeNamespaces()) await lab();
process.exit(problems.length === 0 ? 0 : 1);
