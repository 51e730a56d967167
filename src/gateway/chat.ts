/**
 * A conversation from the client's bytes to the settled bill: the walk drawn in ARCHITECTURE.md.
 * Every way out of {@link handleChat} has settled or released its hold and written its record.
 */

import { gatewayError, GatewayFailure } from '#canonical';
import { isSelfContained, type Dialect, type StreamForm } from '#dialects';
import type { Principal } from '#access';
import type { JsonObject } from '#std';
import type { Operation } from '#providers';
import type { Attempt, DistantPlan } from '#routing';
import { admit, authenticate, type Release } from './admission.ts';
import { openAttempt, type WholeAnswer } from './attempt.ts';
import {
  decodeChat,
  forgetConversation,
  parseBody,
  type ChatCall,
  type ParsedBody,
} from './call.ts';
import { ClientStream } from './client-stream.ts';
import {
  answerHeaders,
  finishStream,
  finishWhole,
  settleAbandoned,
  type Delivery,
} from './finish.ts';
import { clientError, type AttemptFailure } from './failure.ts';
import { Continuable, continueAnswer, mayContinue, type Continued } from './continuation.ts';
import { planWithFallbacks, type ResumablePlan } from './fallback.ts';
import type { Exchange } from './http/index.ts';
import type { Idempotency } from './idempotency.ts';
import { availableOf, costOf, Funds } from './money.ts';
import type { Services } from './services.ts';
import type { Relay } from './relay.ts';
import { StreamAnswer, type StreamEnd } from './stream-answer.ts';
import { keepResponse, resolveState, type ResolvedState } from './responses.ts';
import { nextStep, routeOf, unlessClientLeft } from './steps.ts';
import { affordableRoutes, withinCostCap } from './hold-size.ts';
import { routeRequest } from './route-request.ts';
import { resolve, type Route, type Target } from './target.ts';
import { Trail } from './trail.ts';

export type ChatRoute = {
  readonly dialect: Dialect;
  readonly operation: Operation;
  readonly form: StreamForm;
  readonly model?: string | undefined;
  readonly stream?: boolean | undefined;
  /** Whether this dialect promises its clients a memory. */
  readonly keepsState?: boolean | undefined;
};

/** The whole walk. Throws GatewayFailure before anything was sent; afterwards errors go into the stream. */
export async function handleChat(
  services: Services,
  exchange: Exchange,
  route: ChatRoute,
  idempotency?: Idempotency,
): Promise<void> {
  const trail = new Trail(services, exchange, route.dialect.id, route.operation);
  let plan: DistantPlan | undefined;
  let release: Release | undefined;
  try {
    const principal = (trail.principal = await authenticate(services, exchange));
    const { call, keep } = await readCall(services, exchange, route, principal);
    trail.model = call.request.model;
    trail.streamed = call.request.stream;
    const cap = call.wishes.maxCostNanoUsd;
    const whole = withinCostCap(resolve(services, principal, call, route.operation), cap);
    release = await admit(services, principal, whole, trail);
    const reserve = async (target: Target): Promise<Reserved> => {
      plan?.close();
      const wanted = routeRequest(services, principal, call, target);
      const fresh = (plan = trail.plan = planWithFallbacks(services.router, wanted));
      const first = await nextStep(fresh, exchange, undefined);
      const funds = await Funds.reserve(services, principal, target, {
        requestId: exchange.requestId,
        stream: call.request.stream,
        cap,
        attemptId: `${exchange.requestId}.1`,
        route: routeOf(target, first),
        context: { model: target.model.id, key_id: principal.keyId, dialect: route.dialect.id },
        idempotency,
      });
      return { target, plan: fresh, first, funds };
    };
    const reserved = await reserve(whole).catch((error: unknown) =>
      reserve(cheaperRoutes(whole, principal, error)),
    );
    await new ChatRun(services, exchange, call, reserved, trail, keep).serve(reserved.first);
  } catch (thrown) {
    const error = unlessClientLeft(thrown, exchange);
    trail.failed(clientError(error));
    throw error;
  } finally {
    plan?.close();
    release?.(trail.tokensUsed());
    trail.write();
  }
}

/** What the client asks, and how the answer is kept where its dialect has a memory. */
type Asked = { readonly call: ChatCall; readonly keep: KeepAnswer | undefined };

/** Apart from the walk, which goes on for as long as the answer does and must not hold all that was read here. */
async function readCall(
  services: Services,
  exchange: Exchange,
  route: ChatRoute,
  principal: Principal,
): Promise<Asked> {
  const body = parseBody(exchange.body);
  const state = route.keepsState ? await resolveState(services, principal, body.wire) : undefined;
  const call = decodeChat(
    exchange,
    principal.walletId,
    route.dialect,
    route.keepsState ? { ...route.form, answerId: answerIdOf(exchange) } : route.form,
    contextOf(route),
    stateless(body, state),
  );
  const { wire } = body;
  const keep = state?.needs.store
    ? (answer: JsonObject) => keepResponse(services, principal, wire, state.needs, answer)
    : undefined;
  return { call, keep };
}

/** The money is held and the first upstream chosen. */
type Reserved = {
  readonly target: Target;
  readonly plan: ResumablePlan;
  readonly first: Attempt;
  readonly funds: Funds;
};

/** Too little for the dearest channel may be enough for others: nobody is refused what can be afforded. Else throws `error`. */
function cheaperRoutes(target: Target, principal: Principal, error: unknown): Target {
  const available = error instanceof GatewayFailure ? availableOf(error.error) : undefined;
  const cheaper =
    available === undefined
      ? undefined
      : affordableRoutes(target, available, principal.limits.when_short === 'refuse');
  if (!cheaper || cheaper === target) throw error;
  return cheaper;
}

/** What a response is stored under, and what the ids of its items are made of. */
function answerIdOf({ requestId }: Exchange): string {
  return requestId.replace(/^(?:req_)?/, 'resp_');
}

function contextOf(route: ChatRoute): { model?: string; stream?: boolean } {
  return {
    ...(route.model === undefined ? {} : { model: route.model }),
    ...(route.stream === undefined ? {} : { stream: route.stream }),
  };
}

/** What a vendor can read without our memory; the client's own bytes only where they are just that. */
function stateless(body: ParsedBody, state: ResolvedState | undefined): ParsedBody {
  if (!state) return body;
  return state.changed || !isSelfContained(body.wire)
    ? { scan: undefined, wire: state.wire }
    : body;
}

/** Told of a whole answer in the client's dialect, after it was settled. */
export type KeepAnswer = (answer: JsonObject) => Promise<void>;

type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'again'; readonly failed: AttemptFailure; readonly empty?: EmptyAnswer };

type EmptyAnswer = { readonly answer: StreamAnswer | WholeAnswer; readonly delivery: Delivery };

/** The attempts of one request: the first that shows content has it. */
class ChatRun {
  readonly #services: Services;
  readonly #exchange: Exchange;
  readonly #call: ChatCall;
  readonly #target: Target;
  readonly #plan: ResumablePlan;
  readonly #funds: Funds;
  readonly #trail: Trail;
  readonly #keep: KeepAnswer | undefined;
  readonly #client: ClientStream;
  /** Writes to a client that has read the first content: whatever comes now has its place behind that. */
  #telling: Relay | undefined;
  /** An answer with content is about to be charged: no other one may take its place. */
  #isAnswered = false;

  constructor(
    services: Services,
    exchange: Exchange,
    call: ChatCall,
    { target, plan, funds }: Omit<Reserved, 'first'>,
    trail: Trail,
    keep: KeepAnswer | undefined,
  ) {
    this.#services = services;
    this.#exchange = exchange;
    this.#call = call;
    this.#target = target;
    this.#plan = plan;
    this.#funds = funds;
    this.#trail = trail;
    this.#keep = keep;
    this.#client = new ClientStream(services, exchange, call);
  }

  async serve(first: Attempt): Promise<void> {
    let step = first;
    let empty: EmptyAnswer | undefined;
    try {
      for (let index = 1; ; index += 1) {
        this.#checkClient();
        const route = routeOf(this.#target, step);
        if (index > 1) await this.#record(route, index);
        const outcome = await this.#try(this.#delivery(step, route, index));
        if (outcome.kind === 'done') return;
        if (outcome.empty) empty = outcome.empty;
        this.#checkClient();
        step = await nextStep(this.#plan, this.#exchange, outcome.failed);
      }
    } catch (error) {
      if (empty && !this.#isAnswered && !this.#exchange.aborted) return this.#deliverEmpty(empty);
      await this.#abandon(error);
    }
  }

  /** Nothing more is sent for a client that has left. */
  #checkClient(): void {
    if (this.#exchange.aborted)
      throw new GatewayFailure(
        gatewayError('client_closed_request', 'The client closed the connection.'),
      );
  }

  #attemptId(index: number): string {
    return `${this.#exchange.requestId}.${index}`;
  }

  /** Before the trail knows of it: a call that could not be recorded is not made, and has no outcome. */
  #record(route: Route, index: number): Promise<void> {
    return this.#funds.attempt(route, this.#attemptId(index), this.#trail.previous);
  }

  #delivery(attempt: Attempt, route: Route, index: number): Delivery {
    const attemptId = this.#attemptId(index);
    this.#trail.losses = route.losses;
    return {
      services: this.#services,
      exchange: this.#exchange,
      call: this.#call,
      target: this.#target,
      funds: this.#funds,
      trail: this.#trail,
      client: this.#client,
      keep: this.#keep,
      route,
      attempt,
      attemptId,
      attemptTrail: this.#trail.begin(route, attemptId),
    };
  }

  async #whole(delivery: Delivery, answer: WholeAnswer): Promise<Outcome> {
    if (answer.empty) return this.#again(delivery, emptyAnswer(), { answer, delivery });
    this.#isAnswered = true;
    await finishWhole(delivery, answer);
    return { kind: 'done' };
  }

  /** What is paid for, or less: a fallback model may answer shorter than the one that was asked for, and would refuse. */
  #outputLimit(
    { candidate, offer }: Route,
    onLoss: (path: string, reason: string) => void,
  ): number | undefined {
    const paid = this.#funds.outputTokensMax;
    const { id, output_tokens: most } = offer.model;
    const { request, wishes } = this.#call;
    if (!candidate.tier || wishes.strict || !most || (request.outputTokensMax ?? 0) <= most)
      return paid;
    onLoss('max_tokens', `\`${id}\` answers with ${most} tokens at most`);
    return Math.min(most, paid ?? most);
  }

  async #try(delivery: Delivery): Promise<Outcome> {
    const { route, attempt, attemptTrail, trail } = delivery;
    const elapsedMs = (): number => trail.elapsedMs();
    const onLoss = (path: string, reason: string): void =>
      void (trail.losses = [...trail.losses, { path, reason, changesMeaning: false }]);
    const kept = mayContinue(this.#services, this.#call)
      ? new Continuable(this.#call, onLoss)
      : undefined;
    const opened = await openAttempt({
      services: this.#services,
      call: this.#call,
      route,
      attempt,
      trail: attemptTrail,
      elapsedMs,
      client: this.#exchange,
      outputTokensMax: this.#outputLimit(route, onLoss),
      onLoss,
      relay: kept && ((upstream, quirks) => kept.relay(upstream, quirks)),
    });
    if (opened.kind === 'failed') return this.#again(delivery, opened.failed);
    if (opened.kind === 'whole') return this.#whole(delivery, opened);
    const answer = new StreamAnswer({
      ...delivery,
      open: opened,
      trail: attemptTrail,
      elapsedMs,
      onCommit: () => {
        this.#telling = opened.relay;
        trail.firstContentMs = elapsedMs();
        this.#client.begin(answerHeaders(delivery, undefined));
        // Nobody else is asked, unless to go on with the answer.
        if (kept) return;
        forgetConversation(this.#call);
        // Whoever keeps the answer has the question in memory too: its bytes count on.
        if (!this.#keep) this.#exchange.releaseBody();
      },
    });
    const end = await answer.run();
    if (end.kind === 'failed') return this.#again(delivery, end.failed);
    if (end.kind === 'whole') return this.#whole(delivery, end.answer);
    if (end.kind === 'complete' && !end.committed && !saysSomething(opened.relay)) {
      return this.#again(delivery, emptyAnswer(), {
        answer,
        delivery: { ...delivery, relay: opened.relay },
      });
    }
    this.#isAnswered = true;
    const delivered = { ...delivery, relay: opened.relay };
    const continued = kept && (await this.#continue(delivered, end, kept));
    if (continued) this.#telling = continued.delivery.relay;
    if (continued) await finishStream(continued.delivery, continued.end, []);
    else await finishStream(delivered, end, answer.pending);
    return { kind: 'done' };
  }

  /** Another channel goes on with an answer that broke in the middle, where there is one that can. */
  async #continue(
    delivery: Delivery & { readonly relay: Relay },
    end: StreamEnd,
    kept: Continuable,
  ): Promise<Continued | undefined> {
    if (end.kind !== 'broken' || !kept.answer || this.#exchange.aborted) return undefined;
    return continueAnswer(
      { delivery, error: end.error, answer: kept.answer },
      {
        plan: this.#plan,
        begin: async (attempt, route) => {
          const { attempts, losses } = this.#trail;
          const index = attempts.length + 1;
          await this.#record(route, index);
          const begun = this.#delivery(attempt, route, index);
          this.#trail.losses = losses;
          return begun;
        },
        failed: (begun, failed) => void this.#again(begun, failed),
      },
    );
  }

  #again(delivery: Delivery, failed: AttemptFailure, empty?: EmptyAnswer): Outcome {
    const { attemptTrail, trail } = delivery;
    attemptTrail.endedMs = trail.elapsedMs();
    attemptTrail.error = failed.error.code;
    if (attemptTrail.outcome === 'unknown') attemptTrail.outcome = 'failed';
    const { answer } = empty ?? {};
    const usage = answer instanceof StreamAnswer ? empty?.delivery.relay?.usage : answer?.usage;
    if (usage) attemptTrail.costNanoUsd = costOf(delivery.route, usage);
    else if (attemptTrail.outcome !== 'not_sent' && this.#exchange.aborted) {
      // The vendor has read the question by now.
      attemptTrail.outcome = 'aborted';
      attemptTrail.costNanoUsd = costOf(delivery.route, { inputTokens: this.#target.inputTokens });
    }
    return empty ? { kind: 'again', failed, empty } : { kind: 'again', failed };
  }

  /** Nobody had more to say: the empty answer is the answer, free of charge. */
  async #deliverEmpty({ answer, delivery }: EmptyAnswer): Promise<void> {
    if (answer instanceof StreamAnswer)
      await finishStream(delivery, { kind: 'complete', committed: false }, answer.pending);
    else await finishWhole(delivery, answer);
  }

  /** No channel delivered: release the hold, then tell the client in whatever form is still open. */
  async #abandon(thrown: unknown): Promise<void> {
    const error = unlessClientLeft(thrown, this.#exchange);
    const known = clientError(error);
    await settleAbandoned(this.#funds, this.#trail, known);
    if (!this.#client.begun) throw error;
    this.#trail.error = known;
    const { dialect, request, form } = this.#call;
    void this.#client.write(
      this.#telling?.fail(known) ??
        dialect.stream.encoder(request, form).push({ kind: 'error', error: known }),
    );
    this.#client.end();
    // Whoever waits for the outcome learns that nothing was charged, so that the same key may ask again.
    throw error;
  }
}

function emptyAnswer(): AttemptFailure {
  return {
    error: gatewayError('upstream_empty', 'The upstream sent an empty answer.'),
    failure: { kind: 'empty' },
  };
}

/** An answer without content that still means something: cut by length, filtered, refused. */
function saysSomething(relay: {
  readonly usage:
    | { readonly outputTokens?: number | undefined; readonly reasoningTokens?: number | undefined }
    | undefined;
}): boolean {
  return (relay.usage?.reasoningTokens ?? 0) > 0;
}
