import { ChatAnthropic } from '@langchain/anthropic';
import { HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages';
import { tool as define } from '@langchain/core/tools';
import { ChatGoogleGenerativeAI } from '@langchain/google-genai';
import { ChatOpenAI } from '@langchain/openai';
import { dialect, key, question, report, system, tool, url, weather } from './conversation.mjs';

const configuration = { baseURL: `${url}/v1` };
const common = { apiKey: key, maxRetries: 0 };
const chatModels = {
  'openai-chat': (model) =>
    new ChatOpenAI({ ...common, model, configuration, useResponsesApi: false }),
  'openai-responses': (model) =>
    new ChatOpenAI({ ...common, model, configuration, useResponsesApi: true, zdrEnabled: true }),
  'anthropic-messages': (model) => new ChatAnthropic({ ...common, model, anthropicApiUrl: url }),
  'gemini-generate': (model) => new ChatGoogleGenerativeAI({ ...common, model, baseUrl: url }),
};

const tools = [
  define(weather, { name: tool.name, description: tool.description, schema: tool.parameters }),
];

async function turn(model, messages) {
  let [whole, pieces] = [undefined, 0];
  for await (const chunk of await chatModels[dialect](model).bindTools(tools).stream(messages)) {
    whole = whole?.concat(chunk) ?? chunk;
    pieces += 1;
  }
  const { response_metadata: metadata, usage_metadata: usage } = whole;
  const said = {
    text: whole.text,
    calls: whole.tool_calls.map(({ name, args }) => ({ name, input: args })),
    finish:
      metadata.finish_reason ??
      metadata.finishReason ??
      metadata.stop_reason ??
      whole.additional_kwargs.stop_reason ??
      metadata.status,
    usage: {
      input: usage?.input_tokens,
      cached: usage?.input_token_details?.cache_read,
      output: usage?.output_tokens,
    },
    pieces,
  };
  return { said, whole };
}

await report(async (model) => {
  const messages = [new SystemMessage(system), new HumanMessage(question)];
  const first = await turn(model, messages);
  const results = first.whole.tool_calls.map(
    ({ id, name, args }) => new ToolMessage({ tool_call_id: id, name, content: weather(args) }),
  );
  const second = await turn(model, [...messages, first.whole, ...results]);
  return [first.said, second.said];
});
