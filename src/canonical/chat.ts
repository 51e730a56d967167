/**
 * The neutral model of a conversation: what every chat dialect is translated to and from.
 *
 * A field is here when two dialects carry it; everything else travels in `extensions` (unknown or
 * dialect-only fields) or as a `native` part (whole items only one dialect knows), so that nothing
 * is lost between equal dialects and every loss between different ones can be named.
 */

import type { JsonObject, JsonValue } from '#std';
import type { Bill } from './bill.ts';
import type { GatewayError } from './error.ts';
import type { Usage } from './usage.ts';

/** The wire formats of conversations. Each has one file of the same name in `dialects/`. */
export type DialectId =
  | 'openai-chat'
  | 'openai-responses'
  | 'anthropic-messages'
  | 'gemini-generate'
  | 'openai-completions';

/**
 * State only its issuer can read: thinking signatures, encrypted reasoning, thought signatures.
 * Goes back unchanged to the dialect that issued it; elsewhere it is carried wrapped (see state.ts)
 * or dropped with a reported loss.
 */
export type OpaqueState = {
  /** The dialect whose upstream issued it. */
  readonly issuer: DialectId;
  /** The state itself, verbatim. */
  readonly value: string;
  /** What the state is, in the issuer's word (`signature`, `redacted_thinking`, `encrypted_content`, …). */
  readonly form: string;
  /** The issuer's id of the item that carried it (`rs_…`), when it had one. */
  readonly itemId?: string | undefined;
};

/** A source named by an answer. Offsets count UTF-16 units of the text of the part that cites. */
export type Citation = {
  readonly url?: string | undefined;
  readonly title?: string | undefined;
  readonly citedText?: string | undefined;
  readonly start?: number | undefined;
  readonly end?: number | undefined;
  /** The citation as its dialect wrote it. */
  readonly native?: { readonly dialect: DialectId; readonly value: JsonObject } | undefined;
};

export type MediaSource =
  /** Base64 text, as all dialects carry it: it is never decoded on the way. */
  | { readonly kind: 'data'; readonly data: string }
  | { readonly kind: 'url'; readonly url: string }
  /** A file stored at a vendor: only the dialect that stored it understands the id. */
  | { readonly kind: 'file'; readonly fileId: string; readonly dialect: DialectId }
  /** A plain text document given inline. */
  | { readonly kind: 'text'; readonly text: string };

export type MediaType = 'image' | 'audio' | 'video' | 'document';

/** A prompt-cache mark: everything up to and including this part should be cached. */
export type CacheMark = { readonly ttl?: string | undefined };

type PartBase = {
  readonly cache?: CacheMark | undefined;
  /** Opaque state bound to exactly this part (Gemini's thoughtSignature; a reasoning signature). */
  readonly state?: OpaqueState | undefined;
  /** Unknown fields of the part, in the dialect of the message's origin. */
  readonly extensions?: JsonObject | undefined;
};

export type TextPart = PartBase & {
  readonly kind: 'text';
  readonly text: string;
  readonly citations?: readonly Citation[] | undefined;
};
/** The model's statement that it will not answer, where a dialect has a place of its own for it. */
export type RefusalPart = PartBase & { readonly kind: 'refusal'; readonly text: string };
export type MediaPart = PartBase & {
  readonly kind: 'media';
  readonly media: MediaType;
  /** IANA media type when known, `image/png`. */
  readonly mimeType?: string | undefined;
  readonly source: MediaSource;
  readonly filename?: string | undefined;
  readonly title?: string | undefined;
  /** OpenAI's image detail: auto, low, high. */
  readonly detail?: string | undefined;
  /** What a spoken answer says. */
  readonly transcript?: string | undefined;
  /** Id under which a vendor keeps this output (OpenAI audio). */
  readonly id?: string | undefined;
};
export type ReasoningPart = PartBase & {
  readonly kind: 'reasoning';
  /** Visible thinking; empty when the vendor only gave opaque state. */
  readonly text: string;
  /** `full`: the thinking itself; `summary`: a summary of it; `redacted`: only opaque state. */
  readonly form: 'full' | 'summary' | 'redacted';
};
export type ToolCallPart = PartBase & {
  readonly kind: 'tool-call';
  readonly id: string;
  readonly name: string;
  /** The raw JSON text of the arguments, as generated; free text for custom tools. Never re-serialised. */
  readonly input: string;
  readonly custom?: boolean | undefined;
};
export type ToolResultPart = PartBase & {
  readonly kind: 'tool-result';
  readonly id: string;
  /** Needed by Gemini; found through the call of the same id where the client does not send it. */
  readonly name?: string | undefined;
  /** Text and media; a JSON object result is one text part with `json: true` in extensions. */
  readonly parts: readonly (TextPart | MediaPart)[];
  readonly isError?: boolean | undefined;
  readonly custom?: boolean | undefined;
};
/** An item that only its own dialect can say: server tool use and results, compaction, … */
export type NativePart = PartBase & {
  readonly kind: 'native';
  readonly dialect: DialectId;
  readonly value: JsonObject;
};

export type Part =
  | TextPart
  | RefusalPart
  | MediaPart
  | ReasoningPart
  | ToolCallPart
  | ToolResultPart
  | NativePart;

export type Role = 'system' | 'developer' | 'user' | 'assistant' | 'tool';

/**
 * One turn. `tool` messages hold tool results only: a decoder splits Anthropic's and Gemini's user
 * turns (results first, then the rest), an encoder merges them again.
 */
export type Message = {
  readonly role: Role;
  readonly parts: readonly Part[];
  readonly name?: string | undefined;
  /** Said outside the conversation (Responses' `instructions`), so that its dialect puts it back there. */
  readonly place?: 'instructions' | undefined;
  readonly extensions?: JsonObject | undefined;
};

export type FunctionTool = {
  readonly kind: 'function';
  readonly name: string;
  readonly description?: string | undefined;
  /** JSON Schema of the arguments. */
  readonly parameters?: JsonObject | undefined;
  /** Set when a client wrote it in Gemini's OpenAPI 3.0 subset (converted): Gemini gets it back so. */
  readonly schemaForm?: 'openapi-subset' | undefined;
  readonly strict?: boolean | undefined;
  readonly cache?: CacheMark | undefined;
  readonly extensions?: JsonObject | undefined;
};
/** A tool whose input is free text (OpenAI custom tools), optionally bound by a grammar. */
export type CustomTool = {
  readonly kind: 'custom';
  readonly name: string;
  readonly description?: string | undefined;
  readonly format?: JsonObject | undefined;
  readonly extensions?: JsonObject | undefined;
};
/** Web search run by the vendor: the one server tool all four dialects have. */
export type WebSearchTool = {
  readonly kind: 'web-search';
  readonly name?: string | undefined;
  readonly native: { readonly dialect: DialectId; readonly value: JsonObject };
};
/** Any other tool run by the vendor; `type` names it in error messages. */
export type NativeTool = {
  readonly kind: 'native';
  readonly dialect: DialectId;
  readonly type: string;
  readonly value: JsonObject;
};
export type Tool = FunctionTool | CustomTool | WebSearchTool | NativeTool;

export type ToolChoice =
  | { readonly kind: 'auto' | 'none' | 'required' }
  | { readonly kind: 'tool'; readonly name: string }
  /** A subset of the tools, of which the model may or must call some. */
  | {
      readonly kind: 'allowed';
      readonly mode: 'auto' | 'required';
      readonly names: readonly string[];
    }
  | { readonly kind: 'native'; readonly dialect: DialectId; readonly value: JsonValue };

export type ResponseFormat =
  | { readonly kind: 'text' }
  | { readonly kind: 'json' }
  | {
      readonly kind: 'json-schema';
      readonly name?: string | undefined;
      readonly description?: string | undefined;
      readonly schema: JsonObject;
      /** As in FunctionTool. */
      readonly schemaForm?: 'openapi-subset' | undefined;
      readonly strict?: boolean | undefined;
    };

export type ReasoningEffort = 'none' | 'minimal' | 'low' | 'medium' | 'high' | 'xhigh' | 'max';

export type ReasoningRequest = {
  readonly effort?: ReasoningEffort | undefined;
  /** Exact budget where a dialect has one; 0 = off, -1 = the vendor decides. */
  readonly budgetTokens?: number | undefined;
  /** Whether visible thinking is wanted: OpenAI's summary word, or `none`. */
  readonly summary?: string | undefined;
  /** Anthropic's adaptive or between_tools thinking. */
  readonly mode?: 'adaptive' | 'between-tools' | undefined;
  /** The fields as the client spelled them, put back unchanged where the target speaks the same dialect. */
  readonly native?: { readonly dialect: DialectId; readonly value: JsonObject } | undefined;
  readonly extensions?: JsonObject | undefined;
};

export type ChatRequest = {
  /** The dialect the request was said in: `extensions` are in this dialect. */
  readonly dialect: DialectId;
  readonly model: string;
  readonly messages: readonly Message[];
  readonly tools: readonly Tool[];
  readonly toolChoice?: ToolChoice | undefined;
  readonly parallelToolCalls?: boolean | undefined;
  readonly outputTokensMax?: number | undefined;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly topK?: number | undefined;
  readonly stop?: readonly string[] | undefined;
  readonly seed?: number | undefined;
  readonly presencePenalty?: number | undefined;
  readonly frequencyPenalty?: number | undefined;
  readonly logitBias?: JsonObject | undefined;
  /** Log probabilities of output tokens with so many alternatives (0: the chosen token only). */
  readonly logprobs?: { readonly top: number } | undefined;
  /** How many answers: OpenAI's n, Gemini's candidateCount. */
  readonly choiceCount?: number | undefined;
  readonly responseFormat?: ResponseFormat | undefined;
  readonly reasoning?: ReasoningRequest | undefined;
  readonly verbosity?: string | undefined;
  /** Kinds of output wanted besides text. */
  readonly modalities?: readonly ('text' | 'audio' | 'image')[] | undefined;
  readonly audioOutput?:
    | {
        readonly voice?: string | undefined;
        readonly format?: string | undefined;
        readonly native?: JsonObject | undefined;
      }
    | undefined;
  readonly serviceTier?: string | undefined;
  /** The client's own id of its end user. */
  readonly endUserId?: string | undefined;
  readonly metadata?: JsonObject | undefined;
  readonly promptCacheKey?: string | undefined;
  readonly store?: boolean | undefined;
  /** The client speaks of `functions` and `function_call` (chat before tools) and is answered so. */
  readonly legacyFunctions?: boolean | undefined;
  /** The client wants opaque reasoning state back, to hold the conversation itself (Responses' include). */
  readonly encryptedReasoning?: boolean | undefined;
  /** Echo only: set by the gateway after it has put the stored history into `messages`. */
  readonly previousResponseId?: string | undefined;
  readonly stream: boolean;
  /** Whether the client asked for usage in the stream (chat); dialects that always send it say true. */
  readonly streamUsage: boolean;
  readonly extensions: JsonObject;
};

export type FinishReason =
  | 'stop'
  | 'length'
  | 'tool-calls'
  | 'content-filter'
  | 'refusal'
  /** The vendor paused a long turn; sending the answer back continues it. */
  | 'pause'
  | 'error'
  | 'other';

/** `raw` is the vendor's own word; it survives between equal dialects and in the log. */
export type Finish = {
  readonly reason: FinishReason;
  readonly raw: string;
  readonly stopSequence?: string | undefined;
  /** Vendor's details of a refusal or an incomplete answer, in the dialect that wrote them. */
  readonly details?: JsonObject | undefined;
};

export type TokenLogprob = {
  readonly token: string;
  readonly logprob: number;
  /** Of the words of a refusal, which chat lists apart. */
  readonly refusal?: boolean | undefined;
  readonly bytes?: readonly number[] | null | undefined;
  readonly top?:
    | readonly {
        readonly token: string;
        readonly logprob: number;
        readonly bytes?: readonly number[] | null | undefined;
      }[]
    | undefined;
};

export type Choice = {
  readonly index: number;
  readonly parts: readonly Part[];
  readonly finish: Finish;
  readonly logprobs?: readonly TokenLogprob[] | undefined;
};

export type ChatResponse = {
  /** The dialect of the upstream that answered: `extensions` are in it. */
  readonly dialect: DialectId;
  readonly id: string;
  readonly model: string;
  /** Seconds since the epoch, where the vendor says it. */
  readonly createdAt?: number | undefined;
  readonly choices: readonly Choice[];
  readonly usage?: Usage | undefined;
  readonly serviceTier?: string | undefined;
  readonly extensions: JsonObject;
  /** Set by the gateway after settlement. */
  readonly bill?: Bill | undefined;
};

/**
 * A stream of an answer. Grammar, per choice (`choice` is 0 unless several answers were asked for):
 *
 *     start (part-start part-delta* part-end | logprobs)* end(per choice)   usage?   (finished | error)
 *
 * `start` comes first and once; parts of one choice never overlap; `index` is unique over the whole
 * stream and counts up from 0; after `finished` or `error` nothing follows but usage that a vendor told
 * too late. An upstream that stops before its own terminal mark gives `error`, never `finished`.
 */
export type ChatEvent =
  /** `dialect`: of the upstream, in which `extensions` of the parts and of `finished` are said. */
  | {
      readonly kind: 'start';
      readonly id: string;
      readonly model: string;
      readonly dialect?: DialectId | undefined;
      readonly createdAt?: number | undefined;
      readonly serviceTier?: string | undefined;
      readonly usage?: Usage | undefined;
    }
  /** `part` holds what is known at the start: text usually empty, a tool call's id and name. */
  | {
      readonly kind: 'part-start';
      readonly index: number;
      readonly choice: number;
      readonly part: Part;
    }
  /** Appended to `text` (text, refusal, reasoning), `input` (tool call) or base64 `data` (media). */
  | { readonly kind: 'part-delta'; readonly index: number; readonly delta: string }
  /** What only the end told: citations, opaque state, final native value, an audio transcript. */
  | { readonly kind: 'part-end'; readonly index: number; readonly final?: PartFinal | undefined }
  | { readonly kind: 'logprobs'; readonly choice: number; readonly tokens: readonly TokenLogprob[] }
  | { readonly kind: 'end'; readonly choice: number; readonly finish: Finish }
  | { readonly kind: 'usage'; readonly usage: Usage; readonly bill?: Bill | undefined }
  | { readonly kind: 'finished'; readonly extensions?: JsonObject | undefined }
  | { readonly kind: 'error'; readonly error: GatewayError };

export type PartFinal = {
  readonly state?: OpaqueState | undefined;
  readonly citations?: readonly Citation[] | undefined;
  readonly transcript?: string | undefined;
  readonly value?: JsonObject | undefined;
  readonly extensions?: JsonObject | undefined;
};

/**
 * Something the target dialect cannot say. `changesMeaning`: dropping it would alter what the user
 * asked for (a tool, a schema, an image, n, stop) and the request is refused; otherwise it is dropped
 * and reported.
 */
export type Loss = {
  readonly path: string;
  readonly reason: string;
  readonly changesMeaning: boolean;
};

export type Encoded<T> = { readonly value: T; readonly losses: readonly Loss[] };
