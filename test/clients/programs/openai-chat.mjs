import OpenAI from 'openai';
import { key, question, report, system, tool, url, weather } from './conversation.mjs';

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });

async function turn(model, messages) {
  const stream = client.chat.completions.stream({
    model,
    messages,
    tools: [{ type: 'function', function: tool }],
    stream_options: { include_usage: true },
  });
  let pieces = 0;
  stream.on('chunk', () => (pieces += 1));
  const { choices, usage } = await stream.finalChatCompletion();
  const [{ message, finish_reason: finish }] = choices;
  const calls = message.tool_calls ?? [];
  const said = {
    text: message.content ?? '',
    calls: calls.map((call) => ({
      name: call.function.name,
      input: JSON.parse(call.function.arguments),
    })),
    finish,
    usage: {
      input: usage.prompt_tokens,
      cached: usage.prompt_tokens_details?.cached_tokens,
      output: usage.completion_tokens,
    },
    pieces,
  };
  return { said, message, calls };
}

await report(async (model) => {
  const messages = [
    { role: 'system', content: system },
    { role: 'user', content: question },
  ];
  const first = await turn(model, messages);
  const results = first.calls.map((call) => ({
    role: 'tool',
    tool_call_id: call.id,
    content: weather(JSON.parse(call.function.arguments)),
  }));
  const second = await turn(model, [...messages, first.message, ...results]);
  return [first.said, second.said];
});
