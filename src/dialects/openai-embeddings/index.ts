import { shortenNumberLists } from '#std';
import type { EmbeddingDialect } from '../dialect.ts';
import { annotateUsage, withoutMetadataCosts } from '../bill.ts';
import { decodeRequest, encodeRequest } from './request.ts';
import { decodeResponse, encodeResponse } from './response.ts';

/** OpenAI embeddings, `POST /v1/embeddings`, with vectors as floats or base64 in both directions. */
export const openaiEmbeddings: EmbeddingDialect = {
  id: 'openai-embeddings',
  request: { decode: decodeRequest, encode: encodeRequest },
  response: {
    decode: decodeResponse,
    encode: encodeResponse,
    outline: (body) => shortenNumberLists(body, 'embedding'),
    annotate: (body, bill) => withoutMetadataCosts(annotateUsage(body, bill) ?? body),
  },
};
