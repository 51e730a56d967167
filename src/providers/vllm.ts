import {
  anthropicMessages,
  bearer,
  compatible,
  openaiChat,
  openaiCompletions,
  openaiEmbeddings,
  openaiResponses,
  type Provider,
} from './provider.ts';

/** Self-hosted servers of the same family: vLLM, SGLang, llama.cpp, LM Studio. VLLM_BASE_URL names where it is. */
export default {
  id: 'vllm',
  label: 'vLLM, SGLang, llama.cpp, LM Studio',
  docs: 'https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html',
  baseUrl: 'http://127.0.0.1:8000',
  environment: ['VLLM_BASE_URL'],
  keyless: true,
  speaks: [
    openaiChat({ ...compatible, reasoningReplay: 'reasoning_content' }, '/v1/chat/completions'),
    openaiResponses({}, '/v1/responses'),
    anthropicMessages({ thinkingWithoutSignature: true }, '/v1/messages'),
    openaiCompletions('/v1/completions'),
    openaiEmbeddings({}, '/v1/embeddings'),
  ],
  authorize: (request, credential) =>
    credential.secret === '' ? request : bearer(request, credential),
  facts: { abortStopsBilling: 'yes', rateLimits: 'retry-after-only' },
} satisfies Provider;
