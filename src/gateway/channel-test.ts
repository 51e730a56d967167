/** `channel test`: one smallest question to one channel, past the ledger. It may cost the operator a fraction of a cent. */

import type { ChatRequest } from '#canonical';
import { readText } from './attempt.ts';
import { egressOf, speechChoices, type Channel } from './offers.ts';
import type { Services } from './services.ts';
import { authorized } from './wire.ts';

export type ChannelTestResult = { readonly ok: boolean; readonly text: string };

const testMs = 30_000;

/** Of a channel with several addresses each is asked; it is well when one of them is. */
export async function testChannel(
  services: Services,
  channel: Channel,
): Promise<ChannelTestResult> {
  if (channel.baseUrls.length === 1) return testAddress(services, channel, channel.baseUrl);
  const results = await Promise.all(
    channel.baseUrls.map((baseUrl) => testAddress(services, channel, baseUrl)),
  );
  const texts = results.map(
    ({ ok, text }, index) => `${channel.baseUrls[index]}: ${ok ? text : `failed: ${text}`}`,
  );
  return { ok: results.some(({ ok }) => ok), text: texts.join('; ') };
}

async function testAddress(
  services: Services,
  channel: Channel,
  baseUrl: string,
): Promise<ChannelTestResult> {
  const snapshot = services.snapshot();
  const offers = snapshot.models
    .flatMap((model) => snapshot.offersOf(model))
    .filter((offer) => offer.channel.id === channel.id);
  const found = offers.flatMap((offer) =>
    speechChoices(offer, 'chat', undefined, false)
      .slice(0, 1)
      .map((choice) => ({ offer, choice })),
  )[0];
  if (!found) return { ok: false, text: 'offers no model that can be chatted with; set `models`' };
  const { offer, choice } = found;
  const dialect = services.dialects[choice.speech.dialect as keyof Services['dialects']];
  const question: ChatRequest = {
    dialect: dialect.id,
    model: offer.name,
    messages: [{ role: 'user', parts: [{ kind: 'text', text: 'Say OK.' }] }],
    tools: [],
    outputTokensMax: 16,
    stream: false,
    streamUsage: true,
    extensions: {},
  };
  const startedAtMs = services.clock.monotonic();
  try {
    const body = Buffer.from(JSON.stringify(dialect.request.encode(question, choice.quirks).value));
    const to = { offer, speech: choice, baseUrl };
    const request = await authorized(services, to, [body], false);
    const response = await services.upstream.send({
      ...request,
      timeouts: { connectMs: 5_000, headersMs: testMs, idleMs: testMs, totalMs: testMs },
      signal: AbortSignal.timeout(testMs),
      ...egressOf(channel),
    });
    const text = await readText(response, 1 << 20);
    const elapsed = `${Math.round(services.clock.monotonic() - startedAtMs)} ms`;
    if (response.status === 200) return { ok: true, text: `${offer.name} answered in ${elapsed}` };
    return {
      ok: false,
      text: `${offer.name}: status ${response.status}: ${dialect.error.decode(response.status, text).message}`,
    };
  } catch (error) {
    return { ok: false, text: error instanceof Error ? error.message : String(error) };
  }
}
