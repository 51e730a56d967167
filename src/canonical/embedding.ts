import type { JsonObject } from '#std';
import type { Bill } from './bill.ts';
import type { Usage } from './usage.ts';

export type EmbeddingRequest = {
  /** The dialect the request was said in: `extensions` are in it. */
  readonly dialect?: 'openai-embeddings' | 'gemini-embed' | undefined;
  /** The client asked for a list of vectors although there may be one (Gemini's batchEmbedContents). */
  readonly batched?: boolean | undefined;
  readonly model: string;
  /** Texts, or token ids of one or several texts. */
  readonly inputs: readonly string[] | readonly (readonly number[])[];
  readonly dimensions?: number | undefined;
  readonly encoding: 'float' | 'base64';
  readonly endUserId?: string | undefined;
  /** Gemini's purpose of the vector (RETRIEVAL_QUERY, …). */
  readonly taskType?: string | undefined;
  readonly title?: string | undefined;
  readonly extensions: JsonObject;
};

export type EmbeddingResponse = {
  readonly model: string;
  /** One vector an input, in order; base64 text (little-endian float32) when the vendor sent that. */
  readonly vectors: readonly (readonly number[] | string)[];
  readonly usage?: Usage | undefined;
  readonly bill?: Bill | undefined;
  readonly extensions: JsonObject;
};
