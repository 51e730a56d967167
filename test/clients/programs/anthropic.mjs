import Anthropic from '@anthropic-ai/sdk';
import { key, question, report, system, tool, url, weather } from './conversation.mjs';

const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });

async function turn(model, messages) {
  const stream = client.messages.stream({
    model,
    system,
    messages,
    max_tokens: 4_096,
    tools: [{ name: tool.name, description: tool.description, input_schema: tool.parameters }],
  });
  let pieces = 0;
  stream.on('streamEvent', () => (pieces += 1));
  const { content, stop_reason: finish, usage } = await stream.finalMessage();
  const calls = content.filter((block) => block.type === 'tool_use');
  const said = {
    text: content.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join(''),
    calls: calls.map((call) => ({ name: call.name, input: call.input })),
    finish,
    usage: {
      input: usage.input_tokens + (usage.cache_read_input_tokens ?? 0),
      cached: usage.cache_read_input_tokens,
      output: usage.output_tokens,
    },
    pieces,
  };
  return { said, content, calls };
}

await report(async (model) => {
  const messages = [{ role: 'user', content: question }];
  const first = await turn(model, messages);
  const results = first.calls.map((call) => ({
    type: 'tool_result',
    tool_use_id: call.id,
    content: weather(call.input),
  }));
  const second = await turn(model, [
    ...messages,
    { role: 'assistant', content: first.content },
    { role: 'user', content: results },
  ]);
  return [first.said, second.said];
});
