import { bearer, compatible, openaiChat, type Provider } from './provider.ts';

export default {
  id: 'huggingface',
  label: 'Hugging Face Inference Providers',
  docs: 'https://huggingface.co/docs/inference-providers',
  baseUrl: 'https://router.huggingface.co/v1',
  environment: ['HF_TOKEN', 'HUGGINGFACE_API_KEY'],
  speaks: [
    openaiChat({ ...compatible, reasoningReplay: 'reasoning_content' }),
  ],
  authorize: bearer,
  facts: { abortStopsBilling: 'unknown', rateLimits: 'retry-after-only' },
} satisfies Provider;
