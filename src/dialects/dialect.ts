/**
 * The contract of a wire format. A dialect is pure: no I/O, no clock, no randomness, no provider
 * names. Each rule below is a property test in test/contract/dialect.ts, run over every dialect.
 *
 * 1. Round trip: `decode(encode(x))` equals `x` minus the reported losses; a dropped field is a loss.
 * 2. Equal dialects lose nothing: unknown fields travel in `extensions`, unknown items as `native`.
 * 3. Streams are well-formed (grammar in canonical/chat.ts); one that is cut ends in `error`.
 * 4. Total: any JSON decodes, or throws ReadError (requests) with the path of the field.
 * 5. Bounded: limits of parts, tools and text are constants in limits.ts.
 */

import type {
  Bill,
  ChatEvent,
  ChatRequest,
  ChatResponse,
  DialectId,
  EmbeddingRequest,
  EmbeddingResponse,
  Encoded,
  GatewayError,
  Usage,
} from '#canonical';
import type { JsonObject, JsonValue } from '#std';

/**
 * Deviations of a vendor or a model from the dialect's plain form, as data: defaults of the dialect ←
 * provider ← model (catalog) ← channel (configuration). Each dialect documents and reads its own.
 */
export type Quirks = { readonly [name: string]: JsonValue | undefined };

/** One SSE event, one element of a JSON array, or one line: whatever the framing delivers. */
export type Frame = { readonly event?: string | undefined; readonly data: string };

export type StreamDecoder = {
  push(frame: Frame): readonly ChatEvent[];
  /** The upstream closed. Emits `error` when the stream had not reached its terminal mark. */
  end(): readonly ChatEvent[];
};

export type StreamEncoder = {
  /** Wire text of the event, complete with framing; `''` when there is nothing to send yet. */
  push(event: ChatEvent): string;
  /** The last frame that has left, with this data, came from elsewhere: where events are numbered, the next goes on from it. */
  follow?(data: string): void;
};

/**
 * What a frame means to a gateway that passes it through untouched: metering and the moment of
 * settlement. Cheap: called for every frame of a pass-through stream.
 */
export type FrameFacts = {
  /** Carries generated content (text, reasoning, tool arguments): the commit point. */
  readonly content: boolean;
  /** Size of the text generated in this frame (see `textSize`), for the estimate when usage never comes. */
  readonly generatedSize: number;
  /** The latest, cumulative usage. */
  readonly usage?: Usage | undefined;
  /**
   * This frame and all later ones are held until the charge is durable: the finish, the usage, the
   * terminal mark. Content never comes after it.
   */
  readonly closing: boolean;
  /** The terminal mark was seen: the stream is complete and may end. */
  readonly complete: boolean;
  /** The frame is no piece of a stream but a whole answer, as clients that do not stream read it. */
  readonly whole?: boolean | undefined;
  /** The frame only exists because the gateway asked for it (chat's usage chunk): drop it if the client did not ask. */
  readonly unasked: boolean;
  readonly error?: GatewayError | undefined;
};

export type StreamTap = {
  inspect(frame: Frame): FrameFacts;
  /** Whether a stream without a terminal mark may close here: all that has begun has said why it ends. */
  readonly mayEnd?: boolean;
  /**
   * The frame (wire text, with framing) with the bill in its usage object, and without a vendor's own price there;
   * `undefined` when it has no such object, or nothing to change.
   */
  annotate(frame: Frame, bill: Bill | undefined): string | undefined;
};

export type StreamForm = {
  /** `json-array`: Gemini's stream without alt=sse. */
  readonly framing: 'sse' | 'json-array';
  /** The id of the answer where clients refer to it later: those of vendors may repeat, or be missing. */
  readonly answerId?: string | undefined;
};

export type RequestContext = {
  /** Path parameter or body field, already resolved to the upstream's name when encoding. */
  readonly model?: string | undefined;
  /** Whether the URL asks for a stream (Gemini says it in the path). */
  readonly stream?: boolean | undefined;
};

export type Dialect = {
  readonly id: DialectId;
  /** Reads the quirks this dialect knows, for the error message of a wrong configuration. */
  readonly quirkNames: readonly string[];
  readonly request: {
    /** Fields without which a request for an answer is refused (counting tokens asks for fewer). */
    readonly required?: readonly string[];
    /** Strict. Throws ReadError with the field path. */
    decode(wire: JsonObject, context: RequestContext): ChatRequest;
    encode(request: ChatRequest, quirks: Quirks): Encoded<JsonObject>;
    /** URLs in the request that this upstream cannot fetch itself: the gateway inlines them first. */
    urlsToInline(request: ChatRequest, quirks: Quirks): readonly string[];
    /** Whether a last message of the assistant is the beginning of the answer, which goes on from there. */
    takesPrefill?(quirks: Quirks): boolean;
  };
  readonly response: {
    /** Tolerant. Throws GatewayFailure `upstream_invalid` when it is no answer at all. */
    decode(wire: JsonObject, quirks: Quirks): ChatResponse;
    /** `request` is the client's: what it asked for decides echo fields. */
    encode(response: ChatResponse, request: ChatRequest): Encoded<JsonObject>;
    /**
     * Whether the answer says something and is no error, as far as a look can tell; where it is not
     * sure, `decode` has to. Spares most answers that pass through their decoding.
     */
    isPlain?(wire: JsonObject): boolean;
    /** Usage of a whole answer body of this dialect, for pass-through. */
    usage(wire: JsonObject, quirks: Quirks): Usage | undefined;
    /** The same JSON text with the bill spliced into its usage object; nothing else changes. */
    annotate(body: string, bill: Bill): string;
  };
  readonly error: {
    /** An upstream's answer with a status of 400 or more, or an error found inside a 200. */
    decode(status: number, body: string): GatewayError;
    encode(
      error: GatewayError,
      requestId: string,
    ): { readonly status: number; readonly body: JsonObject };
  };
  readonly stream: {
    decoder(quirks: Quirks): StreamDecoder;
    /** Losses found while encoding (streams cannot be refused any more) go to `onLoss`. */
    encoder(
      request: ChatRequest,
      form: StreamForm,
      onLoss?: (path: string, reason: string) => void,
    ): StreamEncoder;
    tap(request: ChatRequest, quirks: Quirks): StreamTap;
    /** Bytes that keep a silent stream alive in this dialect: legal anywhere between two events. */
    heartbeat(form: StreamForm): string;
  };
};

export type EmbeddingDialect = {
  readonly id: 'openai-embeddings' | 'gemini-embed';
  readonly request: {
    decode(wire: JsonObject, context: RequestContext): EmbeddingRequest;
    encode(request: EmbeddingRequest, quirks: Quirks): Encoded<JsonObject>;
  };
  readonly response: {
    decode(wire: JsonObject, request: EmbeddingRequest): EmbeddingResponse;
    encode(response: EmbeddingResponse, request: EmbeddingRequest): JsonObject;
    /** An answer's text with its vectors cut short, of which `decode` can tell everything else. */
    outline(body: string): string;
    annotate(body: string, bill: Bill): string;
  };
};

/** Counting tokens: the request is a chat request; only the answer has a form of its own. */
export type CountTokensForm = {
  readonly id: DialectId;
  /** A client's body for the counting endpoint of a vendor that calls the model `model`: without what only generation takes. */
  prepare(wire: JsonObject, model: string): JsonObject;
  decode(wire: JsonObject): number | undefined;
  encode(inputTokens: number): JsonObject;
};
