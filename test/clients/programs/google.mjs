import { GoogleGenAI } from '@google/genai';
import { key, question, report, system, tool, url, weather } from './conversation.mjs';

const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url } });

async function turn(chat, message) {
  let [text, pieces, finish, usage] = ['', 0];
  const calls = [];
  for await (const chunk of await chat.sendMessageStream({ message })) {
    pieces += 1;
    for (const part of chunk.candidates?.[0]?.content?.parts ?? []) {
      if (part.text !== undefined && !part.thought) text += part.text;
      if (part.functionCall) calls.push(part.functionCall);
    }
    finish = chunk.candidates?.[0]?.finishReason ?? finish;
    usage = chunk.usageMetadata ?? usage;
  }
  const said = {
    text,
    calls: calls.map((call) => ({ name: call.name, input: call.args })),
    finish,
    usage: {
      input: usage.promptTokenCount,
      cached: usage.cachedContentTokenCount,
      output: (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0),
    },
    pieces,
  };
  return { said, calls };
}

await report(async (model) => {
  const declaration = {
    name: tool.name,
    description: tool.description,
    parametersJsonSchema: tool.parameters,
  };
  const chat = client.chats.create({
    model,
    config: { systemInstruction: system, tools: [{ functionDeclarations: [declaration] }] },
  });
  const first = await turn(chat, question);
  const results = first.calls.map((call) => ({
    functionResponse: { id: call.id, name: call.name, response: { output: weather(call.args) } },
  }));
  const second = await turn(chat, results);
  return [first.said, second.said];
});
