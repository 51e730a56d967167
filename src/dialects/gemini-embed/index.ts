import { shortenNumberLists } from '#std';
import type { EmbeddingDialect } from '../dialect.ts';
import { decodeEmbedRequest, encodeEmbedRequest } from './request.ts';
import { annotateEmbedResponse, decodeEmbedResponse, encodeEmbedResponse } from './response.ts';

export { isBatchBody } from './request.ts';

/** Google's embedContent, batchEmbedContents and (upstream only) Vertex's predict. */
export const geminiEmbed: EmbeddingDialect = {
  id: 'gemini-embed',
  request: { decode: decodeEmbedRequest, encode: encodeEmbedRequest },
  response: {
    decode: decodeEmbedResponse,
    encode: encodeEmbedResponse,
    outline: (body) => shortenNumberLists(body, 'values'),
    annotate: annotateEmbedResponse,
  },
};
