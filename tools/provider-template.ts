/** What a new provider begins with: a file and six cases in which everything still has to be said. */

import { exampleCase, fixtureKinds, fixturesHome } from './tidy/providers.ts';

export type TemplateFile = { readonly path: string; readonly text: string };

/** All files for a provider of this name. The answers of the vendor are left out on purpose. */
export function placeholderFiles(name: string): TemplateFile[] {
  const folder = `${fixturesHome}/${name}`;
  return [
    { path: `src/providers/${name}.ts`, text: providerFile(name) },
    { path: `${folder}/SOURCE.md`, text: sourceNote(name) },
    ...fixtureKinds.flatMap((kind) => [
      { path: `${folder}/${exampleCase(kind)}/meta.json`, text: json(metaOf(name, kind)) },
      { path: `${folder}/${exampleCase(kind)}/request.json`, text: json(requestOf(kind)) },
    ]),
  ];
}

function providerFile(name: string): string {
  const label = name.replace(
    /(^|-)(.)/g,
    (_, dash: string, letter: string) => (dash === '' ? '' : ' ') + letter.toUpperCase(),
  );
  const variable = `${name.toUpperCase().replace(/-/g, '_')}_API_KEY`;
  return `import { bearer, compatible, openaiChat, type Provider } from './provider.ts';

export default {
  id: '${name}',
  label: '${label}',
  docs: 'https://docs.example.invalid',
  baseUrl: 'https://api.example.invalid/v1',
  environment: ['${variable}'],
  speaks: [openaiChat({ ...compatible })],
  authorize: bearer,
  facts: { abortStopsBilling: 'unknown', rateLimits: 'retry-after-only' },
} satisfies Provider;
`;
}

function sourceNote(name: string): string {
  return `# Where the cases of ${name} come from

One line per case: date, model, how it was recorded, what was removed (keys, account names).

${fixtureKinds.map((kind) => `- ${exampleCase(kind)}: not recorded yet`).join('\n')}

A case the vendor cannot show is left out: delete its folder and write a line such as
«skip tools: the vendor has no tools», beginning with the word skip.

## How to fill in a case

- request.json: the body as it was sent.
- response.json, or response.sse for a stream: the answer, byte for byte.
- meta.json: endpoint (the whole address), status, model, stream; authenticity is recorded, or hand-made
  when you wrote the answer after the documentation; expected is what a person reads in the answer.
`;
}

function metaOf(name: string, kind: string): object {
  const status = /^\d+$/.test(kind) ? Number(kind) : 200;
  return {
    provider: name,
    kind: 'chat',
    dialect: 'openai-chat',
    method: 'POST',
    endpoint: 'https://api.example.invalid/v1/chat/completions',
    status,
    stream: kind === 'stream' || kind === 'cut',
    model: 'name-of-a-model',
    authenticity: 'placeholder',
    response_headers: {},
    expected: expectedOf(kind),
  };
}

function expectedOf(kind: string): object {
  if (kind === '401') return { error_kind: 'credential' };
  if (kind === '429') return { error_kind: 'rate-limited' };
  if (kind === 'cut') return { cut: true };
  const usage = { input_total: 0, output_total: 0 };
  if (kind !== 'tools') return { text: '', finish_reason: 'stop', usage_normalised: usage };
  const call = { id: '', name: 'get_weather', arguments: { city: 'Paris' } };
  return { text: '', tool_calls: [call], finish_reason: 'tool_calls', usage_normalised: usage };
}

function requestOf(kind: string): object {
  const isStream = kind === 'stream' || kind === 'cut';
  const tools = [
    { type: 'function', function: { name: 'get_weather', parameters: weatherParameters } },
  ];
  return {
    model: 'name-of-a-model',
    messages: [
      { role: 'user', content: kind === 'tools' ? 'What is the weather in Paris?' : 'Say hello.' },
    ],
    ...(kind === 'tools' ? { tools } : {}),
    ...(isStream ? { stream: true, stream_options: { include_usage: true } } : {}),
  };
}

const weatherParameters = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
};

function json(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
