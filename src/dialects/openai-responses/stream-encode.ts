import type { Bill, ChatEvent, ChatRequest, Finish, GatewayError, Usage } from '#canonical';
import { asNumber, formatSse, parseJsonObject, saidFields, type JsonObject } from '#std';
import type { StreamEncoder, StreamForm } from '../dialect.ts';
import { endDetails } from '../end-details.ts';
import { errorEvent } from './error.ts';
import { OutputBuilder } from './output-encode.ts';
import { responseId, responseObject, type ResponseFacts } from './response-object.ts';

/**
 * The events of `responses.create({stream: true})` in OpenAI's order: `created`, `in_progress`, per
 * item `output_item.added` … `output_item.done`, and one terminal event with the whole response.
 */
class ResponsesStreamEncoder implements StreamEncoder {
  readonly #request: ChatRequest;
  readonly #answerId: string | undefined;
  readonly #onLoss: (path: string, reason: string) => void;
  #sequence = 0;
  #written = '';
  #builder: OutputBuilder | undefined;
  #head: Extract<ChatEvent, { kind: 'start' }> | undefined;
  #id = 'resp_';
  /** The one answer there is place for: the first to come, since some vendors count from 1. */
  #choice: number | undefined;
  /** The part of it that is open. */
  #partIndex: number | undefined;
  #finish: Finish | undefined;
  #usage: Usage | undefined;
  #bill: Bill | undefined;
  #over = false;

  constructor(
    request: ChatRequest,
    answerId: string | undefined,
    onLoss: (path: string, reason: string) => void,
  ) {
    this.#request = request;
    this.#answerId = answerId;
    this.#onLoss = onLoss;
  }

  push(event: ChatEvent): string {
    if (this.#over) return '';
    this.#written = '';
    this.#take(event);
    return this.#written;
  }

  follow(data: string): void {
    const number = asNumber(parseJsonObject(data)?.['sequence_number']);
    if (number !== undefined && Number.isSafeInteger(number)) this.#sequence = number + 1;
  }

  #take(event: ChatEvent): void {
    switch (event.kind) {
      case 'start':
        return this.#start(event);
      case 'part-start':
        if (event.choice !== (this.#choice ??= event.choice))
          return this.#onLoss(`choices[${event.choice}]`, 'the Responses API gives one answer');
        this.#partIndex = event.index;
        return this.#output().partStart(event.part);
      case 'part-delta':
        if (event.index === this.#partIndex) this.#output().partDelta(event.delta);
        return;
      case 'part-end':
        if (event.index === this.#partIndex) this.#output().partEnd(event.final);
        return;
      case 'logprobs':
        if (event.choice === (this.#choice ?? 0)) this.#output().logprobs(event.tokens);
        return;
      case 'end':
        if (event.choice === (this.#choice ??= event.choice)) this.#end(event.finish);
        return;
      case 'usage':
        this.#usage = event.usage;
        this.#bill = event.bill ?? this.#bill;
        return;
      case 'finished':
        return this.#finished(event.extensions);
      case 'error':
        return this.#error(event.error);
    }
  }

  #start(event: Extract<ChatEvent, { kind: 'start' }>): void {
    if (this.#head) return;
    this.#head = event;
    this.#id = responseId(this.#answerId ?? event.id);
    this.#usage = event.usage;
    this.#builder = new OutputBuilder(
      {
        responseId: this.#id,
        dialect: event.dialect ?? 'openai-responses',
        request: this.#request,
        report: (path, reason) => this.#onLoss(path, reason),
      },
      (type, fields) => this.#write(`response.${type}`, fields),
    );
    const response = this.#response({});
    this.#write('response.created', { response });
    this.#write('response.in_progress', { response });
  }

  /** A stream that never said `start` is opened by its first part. */
  #output(): OutputBuilder {
    if (!this.#builder) this.#start({ kind: 'start', id: '', model: this.#request.model });
    if (!this.#builder) throw new Error('a started stream has a builder');
    return this.#builder;
  }

  #end(finish: Finish): void {
    this.#finish = finish;
    this.#output().finish(finish.reason === 'length' || finish.reason === 'content-filter');
  }

  #finished(extensions: JsonObject | undefined): void {
    const finish = this.#finish ?? { reason: 'stop', raw: '' };
    if (!this.#finish) this.#end(finish);
    const dialect = this.#head?.dialect;
    const own = dialect === 'openai-responses' ? extensions : undefined;
    if (!own)
      for (const key of saidFields({ ...extensions, ...endDetails(finish) }))
        this.#onLoss(key, `unknown to the Responses API (said in ${dialect ?? 'another dialect'})`);
    const response = this.#response({ finish, extensions: own });
    this.#write(terminalEvent(String(response['status'])), { response });
    this.#over = true;
  }

  /** OpenAI sends both: SDKs raise at `error`, other readers wait for the terminal event. */
  #error(error: GatewayError): void {
    if (!this.#head) this.#start({ kind: 'start', id: '', model: this.#request.model });
    this.#write('error', errorEvent(error));
    this.#write('response.failed', { response: this.#response({ error }) });
    this.#over = true;
  }

  #response(facts: Pick<ResponseFacts, 'finish' | 'error' | 'extensions'>): JsonObject {
    const head = this.#head;
    const over = facts.finish !== undefined || facts.error !== undefined;
    return responseObject(this.#request, {
      id: this.#id,
      model: head?.model ?? '',
      createdAt: head?.createdAt,
      serviceTier: (over ? this.#usage?.serviceTier : undefined) ?? head?.serviceTier,
      output: over ? [...(this.#builder?.items ?? [])] : [],
      usage: over ? this.#usage : undefined,
      bill: over ? this.#bill : undefined,
      ...facts,
    });
  }

  #write(type: string, fields: JsonObject): void {
    const data = JSON.stringify({ type, sequence_number: this.#sequence, ...fields });
    this.#sequence += 1;
    this.#written += formatSse({ event: type, data });
  }
}

function terminalEvent(status: string): string {
  if (status === 'incomplete' || status === 'failed') return `response.${status}`;
  return 'response.completed';
}

export function streamEncoder(
  request: ChatRequest,
  { answerId }: StreamForm,
  onLoss: (path: string, reason: string) => void = () => undefined,
): StreamEncoder {
  return new ResponsesStreamEncoder(request, answerId, onLoss);
}
