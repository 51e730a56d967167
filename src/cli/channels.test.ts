/** Channels that the environment makes, and what a channel needs. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { channelSchema, providersById } from '#providers';
import { channelsFromEnvironment, resolveChannel } from './channels.ts';

function made(environment: Record<string, string>): ReturnType<typeof channelsFromEnvironment> {
  return channelsFromEnvironment(providersById, new Set(), environment);
}

test("a vendor's key in the environment makes a channel, an empty one does not", () => {
  const channels = made({ OPENAI_API_KEY: 'sk-1', ANTHROPIC_API_KEY: '' });
  assert.deepEqual(
    channels.map(({ id, secret }) => [id, secret]),
    [['openai', 'sk-1']],
  );
  const configured = new Set(['openai']);
  assert.deepEqual(channelsFromEnvironment(providersById, configured, { OPENAI_API_KEY: 'x' }), []);
});

test('a vendor that needs a parameter waits for it', () => {
  assert.deepEqual(made({ AZURE_OPENAI_API_KEY: 'k' }), []);
  const channels = made({ AZURE_OPENAI_API_KEY: 'k', AZURE_OPENAI_RESOURCE: 'mine' });
  const [channel] = channels;
  assert.ok(channel);
  const { baseUrl } = resolveChannel(channel, providersById, { AZURE_OPENAI_RESOURCE: 'mine' });
  assert.equal(baseUrl, 'https://mine.openai.azure.com/openai/v1');
});

test('the address of an own server may be written as that server writes it', () => {
  const cases = [
    ['127.0.0.1:11434', 'http://127.0.0.1:11434'],
    ['0.0.0.0:11434', 'http://127.0.0.1:11434'],
    ['box:11434', 'http://box:11434'],
    ['https://box.example/', 'https://box.example'],
  ] as const;
  for (const [written, address] of cases) {
    assert.equal(made({ OLLAMA_HOST: written })[0]?.base_url, address, written);
  }
  assert.throws(
    () => made({ OLLAMA_HOST: 'ftp://box' }),
    /OLLAMA_HOST: `ftp:\/\/box` is no address/,
  );
  assert.throws(() => made({ VLLM_BASE_URL: 'a b' }), /VLLM_BASE_URL/);
});

test('the address of a server without keys never becomes its key', () => {
  const environment = { VLLM_BASE_URL: 'http://10.0.0.5:8000' };
  const [channel] = made(environment);
  assert.ok(channel);
  assert.equal(resolveChannel(channel, providersById, environment).secret, '');
});

test('a channel without its key or its provider is refused with the remedy', () => {
  const refused = (body: object): string => {
    try {
      resolveChannel(channelSchema.parse(body), providersById, {});
    } catch (error) {
      return error instanceof Error ? error.message : '';
    }
    return assert.fail('accepted');
  };
  assert.match(refused({ id: 'a', provider: 'groq' }), /no key: set `secret` or set GROQ_API_KEY/);
  assert.match(refused({ id: 'a', provider: 'nobody', secret: 'x' }), /no provider `nobody`/);
  const azure = { id: 'a', provider: 'azure', secret: 'x' };
  assert.match(refused(azure), /needs the parameter `resource`.*AZURE_OPENAI_RESOURCE/);
});
