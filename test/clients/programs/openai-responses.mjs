import OpenAI from 'openai';
import { key, question, report, system, tool, url, weather } from './conversation.mjs';

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });

/** The client holds the conversation itself, as agents do: nothing is stored, state is encrypted. */
async function turn(model, input) {
  const stream = client.responses.stream({
    model,
    instructions: system,
    input,
    tools: [{ type: 'function', ...tool, strict: true }],
    store: false,
    include: ['reasoning.encrypted_content'],
  });
  let pieces = 0;
  stream.on('event', () => (pieces += 1));
  const response = await stream.finalResponse();
  const calls = response.output.filter((item) => item.type === 'function_call');
  const { usage } = response;
  const said = {
    text: response.output_text,
    calls: calls.map((call) => ({ name: call.name, input: JSON.parse(call.arguments) })),
    finish: response.status,
    usage: {
      input: usage.input_tokens,
      cached: usage.input_tokens_details.cached_tokens,
      output: usage.output_tokens,
    },
    pieces,
  };
  return { said, output: response.output, calls };
}

/** The SDK adds what it parsed to the items; the API has no such field. */
function withoutParsed(item) {
  const { parsed_arguments: _parsed, ...rest } = item;
  return rest;
}

await report(async (model) => {
  const input = [{ role: 'user', content: question }];
  const first = await turn(model, input);
  const results = first.calls.map((call) => ({
    type: 'function_call_output',
    call_id: call.call_id,
    output: weather(JSON.parse(call.arguments)),
  }));
  const second = await turn(model, [...input, ...first.output.map(withoutParsed), ...results]);
  return [first.said, second.said];
});
