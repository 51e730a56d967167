/**
 * Streams that their clients lose at a random point and get by asking again with the same
 * `Idempotency-Key`: the text is complete, the vendor is called once, the wallet pays once.
 */

import { rate } from '#metering';
import { asArray, asObject, asString, parseJsonObject, seededRandom, type Random } from '#std';
import { clientDialects, streamedText, type ClientDialect } from './money-dialects.ts';
import { startRig, type Rig } from './rig.ts';

export type ResumeReport = {
  readonly streams: number;
  readonly cuts: number;
  readonly resumedByEventId: number;
  readonly wrongTexts: number;
  readonly differentReplays: number;
  readonly vendorCalls: number;
  /** Attempts that followed one that failed, as happens when the machine is too slow for the time-outs. */
  readonly retries: readonly string[];
  readonly charges: number;
  readonly wrongCharges: number;
  readonly heldNanoUsd: number;
  readonly firstWrong: string | undefined;
};

const units = { input: '1', output: '4' };

export async function runResumes(
  streams: number,
  atOnce: number,
  seed: number,
): Promise<ResumeReport> {
  const random = seededRandom(seed);
  const offer = { name: 'sim-chat', prices: units, output_tokens: 4_096 };
  const rig = await startRig({
    balanceUsd: 100,
    vendors: [{ id: 'one', channel: { models: { long: offer } }, simulator: { paceMs: 4 } }],
  });
  const tally = {
    cuts: 0,
    resumedByEventId: 0,
    wrongTexts: 0,
    differentReplays: 0,
    firstWrong: undefined as string | undefined,
  };
  try {
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let index = next++; index < streams; index = next++)
        await loseAndResume(rig, index, random, tally);
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    return { streams, ...tally, ...(await bills(rig)) };
  } finally {
    await rig.close();
  }
}

async function loseAndResume(
  rig: Rig,
  index: number,
  random: Random,
  tally: {
    cuts: number;
    resumedByEventId: number;
    wrongTexts: number;
    differentReplays: number;
    firstWrong: string | undefined;
  },
): Promise<void> {
  const client = clientDialects[index % clientDialects.length];
  if (!client) return;
  const question = `Tell ${index} in ${5 + Math.floor(random() * 55)} words`;
  const expected = await vendorsText(rig, question);
  let part = '';
  for (let cut = 0; cut === 0 || (cut < 3 && random() < 0.3); cut += 1) {
    part = await loseAt(
      rig,
      client,
      question,
      index,
      random() < 0.3 ? { ms: random() * 220 } : { characters: random() * 9_000 },
    );
    tally.cuts += 1;
  }
  const whole = await (await ask(rig, client, question, index)).text();
  const wrong = streamedText(whole) !== expected || !whole.startsWith(part);
  if (wrong)
    tally.firstWrong ??= `${client.id} ${index}: ${streamedText(whole).slice(0, 200)}… instead of ${expected.slice(0, 200)}…`;
  if (wrong) tally.wrongTexts += 1;
  const lastEvent = [...part.matchAll(/^id: (\d+)$/gm)].at(-2)?.[1];
  if (lastEvent === undefined) return;
  tally.resumedByEventId += 1;
  const rest = await (
    await ask(rig, client, question, index, undefined, { 'last-event-id': lastEvent })
  ).text();
  const seen = whole.slice(0, whole.indexOf(`id: ${Number(lastEvent) + 1}\n`));
  if (seen + rest !== whole) tally.differentReplays += 1;
}

function ask(
  rig: Rig,
  client: ClientDialect,
  question: string,
  index: number,
  signal?: AbortSignal,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return rig.post(
    client.path('long', true),
    client.body('long', question, true, 600),
    { 'idempotency-key': `stream-${index}`, ...headers },
    signal,
  );
}

/** What a client has of the stream when it loses the network after so long, or after so much. */
async function loseAt(
  rig: Rig,
  client: ClientDialect,
  question: string,
  index: number,
  after: { readonly ms?: number; readonly characters?: number },
): Promise<string> {
  const leave = new AbortController();
  const timer = after.ms === undefined ? undefined : setTimeout(() => leave.abort(), after.ms);
  let text = '';
  try {
    const reader = (await ask(rig, client, question, index, leave.signal)).body?.getReader();
    for (;;) {
      const piece = await reader?.read();
      if (!piece || piece.done) break;
      text += Buffer.from(piece.value).toString('latin1');
      if (text.length > (after.characters ?? Infinity)) leave.abort();
    }
  } catch {
    // The network is lost.
  } finally {
    clearTimeout(timer);
  }
  return Buffer.from(text, 'latin1').toString('utf8');
}

/** What the vendor says to the question, asked without the gateway. */
async function vendorsText(rig: Rig, question: string): Promise<string> {
  const response = await fetch(`${rig.vendors['one']?.url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'sim-chat', messages: [{ role: 'user', content: question }] }),
  });
  const choice = asObject(asArray(parseJsonObject(await response.text())?.['choices'])?.[0]);
  return asString(asObject(choice?.['message'])?.['content']) ?? '';
}

async function bills(rig: Rig) {
  const price = {
    version: '',
    price: { from: '2000-01-01', source: 'test', units },
    atMs: 0,
    factorMillionths: 1_000_000,
  };
  const entries =
    rig.vendors['one']?.bill.entries.filter((entry) => entry.attemptId !== undefined) ?? [];
  const retries: string[] = [];
  let charges = 0;
  let wrongCharges = 0;
  for (const entry of entries) {
    const requestId = entry.attemptId?.replace(/\.\d+$/, '') ?? '';
    const receipt = await rig.books.ledger.receipt(`rcpt_${requestId}`);
    if (receipt?.postedAttemptId !== entry.attemptId) {
      retries.push(
        JSON.stringify((await rig.books.store.requests.get(requestId))?.detail['attempts']),
      );
      continue;
    }
    if (receipt?.kind === 'usage') charges += 1;
    if (
      receipt?.chargeNanoUsd !==
      rate(price, { inputTokens: entry.inputTokens, outputTokens: entry.outputTokens })
        .amountNanoUsd
    )
      wrongCharges += 1;
  }
  const { pendingNanoUsd } = await rig.books.ledger.balance(rig.walletId);
  return {
    vendorCalls: entries.length,
    retries,
    charges,
    wrongCharges,
    heldNanoUsd: pendingNanoUsd,
  };
}
