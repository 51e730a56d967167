import type { Dispatcher } from 'undici';
import type { CallCarrier, OutboundCall } from './call.ts';
import { classifyFailure, UpstreamFailure } from './failure.ts';
import { outboundHeaders, type ResponseHeaders } from './headers.ts';
import type { Way, WireRequest } from './way.ts';

/** Calls over undici, which also knows the way through outbound proxies. */
export class DispatcherWay implements Way {
  readonly #dispatcher: Dispatcher;

  constructor(dispatcher: Dispatcher) {
    this.#dispatcher = dispatcher;
  }

  send(request: WireRequest, call: OutboundCall): void {
    const { target, method, headers, body, closesConnection } = request;
    this.#dispatcher.dispatch(
      {
        origin: target.origin,
        path: target.path,
        method,
        headers: outboundHeaders(headers),
        body:
          body.length === 0 ? null : body.length === 1 ? (body[0] ?? null) : Buffer.concat(body),
        reset: closesConnection,
        // Said with each call, because the pools behind a SOCKS5 proxy hear of no other settings.
        headersTimeout: 0,
        bodyTimeout: 0,
      },
      new DispatchedCall(call),
    );
  }

  /** Lets what runs end, and takes nothing new. */
  finish(): Promise<void> {
    return this.#dispatcher.close();
  }

  close(): Promise<void> {
    return this.#dispatcher.destroy();
  }
}

/** Tells a call what undici tells. */
class DispatchedCall implements Dispatcher.DispatchHandler {
  readonly #call: OutboundCall;

  constructor(call: OutboundCall) {
    this.#call = call;
  }

  onRequestStart(controller: CallCarrier): void {
    if (this.#call.isOver) controller.abort(new Error('the call is over'));
    else this.#call.starts(controller);
  }

  onResponseStart(_controller: CallCarrier, status: number, headers: ResponseHeaders): void {
    if (status >= 200) this.#call.takeHead(status, headers);
  }

  onRequestUpgrade(): void {
    this.#call.fail(new UpstreamFailure('protocol', 'the upstream changed the protocol', true));
  }

  onResponseData(_controller: CallCarrier, piece: Uint8Array): void {
    this.#call.takePiece(piece);
  }

  onResponseEnd(): void {
    this.#call.takeEnd();
  }

  onResponseError(_controller: CallCarrier | undefined, error: Error): void {
    this.#call.fail(classifyFailure(error, this.#call.sent));
  }
}
