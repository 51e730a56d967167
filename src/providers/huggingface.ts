import { bearer, compatible, openaiChat, type Provider } from './provider.ts';

/** Routes to partners; `:groq`, `:fastest` or `:cheapest` after the model's name chooses among them. */
export default {
  id: 'huggingface',
  label: 'Hugging Face Inference Providers',
  docs: 'https://huggingface.co/docs/inference-providers',
  baseUrl: 'https://router.huggingface.co/v1',
  environment: ['HF_TOKEN', 'HUGGINGFACE_API_KEY'],
  speaks: [openaiChat({ ...compatible, reasoningReplay: 'reasoning_content' })],
  authorize: bearer,
  facts: { abortStopsBilling: 'no', rateLimits: 'retry-after-only' },
} satisfies Provider;
