/** Written by `npm run gen` from the listing of this folder; an edit here is lost. */

import anthropic from './anthropic.ts';
import ark from './ark.ts';
import azure from './azure.ts';
import bedrock from './bedrock.ts';
import cerebras from './cerebras.ts';
import cohere from './cohere.ts';
import dashscope from './dashscope.ts';
import deepseek from './deepseek.ts';
import fireworks from './fireworks.ts';
import gemini from './gemini.ts';
import groq from './groq.ts';
import huggingface from './huggingface.ts';
import minimax from './minimax.ts';
import mistral from './mistral.ts';
import moonshot from './moonshot.ts';
import ollama from './ollama.ts';
import openai from './openai.ts';
import openrouter from './openrouter.ts';
import perplexity from './perplexity.ts';
import siliconflow from './siliconflow.ts';
import simulator from './simulator.ts';
import together from './together.ts';
import vertex from './vertex.ts';
import vllm from './vllm.ts';
import xai from './xai.ts';
import zhipu from './zhipu.ts';
import type { Provider } from './provider.ts';

export const providers: readonly Provider[] = [
  anthropic,
  ark,
  azure,
  bedrock,
  cerebras,
  cohere,
  dashscope,
  deepseek,
  fireworks,
  gemini,
  groq,
  huggingface,
  minimax,
  mistral,
  moonshot,
  ollama,
  openai,
  openrouter,
  perplexity,
  siliconflow,
  simulator,
  together,
  vertex,
  vllm,
  xai,
  zhipu,
];
