import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogle } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { isStepCount, jsonSchema, streamText, tool as define } from 'ai';
import { dialect, key, question, report, system, tool, url, weather } from './conversation.mjs';

const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: key });
const languageModels = {
  'openai-responses': (model) => openai(model),
  'openai-chat': (model) => openai.chat(model),
  'anthropic-messages': createAnthropic({ baseURL: `${url}/v1`, apiKey: key }),
  'gemini-generate': createGoogle({ baseURL: `${url}/v1beta`, apiKey: key }),
};

const tools = {
  [tool.name]: define({
    description: tool.description,
    inputSchema: jsonSchema(tool.parameters),
    execute: async (input) => weather(input),
  }),
};

/** The library runs the tools and asks again by itself; a step is one request. */
await report(async (model) => {
  let failure;
  const result = streamText({
    model: languageModels[dialect](model),
    instructions: system,
    prompt: question,
    tools,
    stopWhen: isStepCount(4),
    maxRetries: 0,
    onError: ({ error }) => (failure = error),
  });
  const pieces = [0];
  for await (const part of result.stream) {
    if (part.type === 'finish-step') pieces.push(0);
    else pieces[pieces.length - 1] += 1;
  }
  if (failure) throw failure instanceof Error ? failure : new Error(String(failure));
  return (await result.steps).map((step, index) => ({
    text: step.text,
    calls: step.toolCalls.map((call) => ({ name: call.toolName, input: call.input })),
    finish: step.finishReason,
    usage: {
      input: step.usage.inputTokens,
      cached: step.usage.inputTokenDetails.cacheReadTokens,
      output: step.usage.outputTokens,
    },
    pieces: pieces[index],
  }));
});
