import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { ROOT_CONTEXT, trace } from '@opentelemetry/api';
import type { Dispatcher } from 'undici';
import { observeRequest, outcomeUnknown, Problem, sendProblem } from '#platform/http';
import type { CallOutcome, ProblemLog } from '#platform/http';
import { backoffMs } from '#platform/lifecycle';
import { SpanKind, SpanStatusCode, startSpan, traceparentOf } from '#platform/telemetry';
import type { Health } from '#platform/health';
import type { Span } from '#platform/telemetry';
import type { RequestBody } from './body.ts';
import { GatewayError } from './errors.ts';
import { countFailed, countRetry } from './metrics.ts';
import { requestHeaders, responseHeaders } from './headers.ts';
import type { Route } from './routes.ts';
import type { Permit, Upstream } from './upstream.ts';

type Controller = Dispatcher.DispatchController;

const gone = new GatewayError('ERR_GATEWAY_CLIENT_GONE', 'the client has disconnected');
/** The status in metrics when the client has disconnected: not of HTTP, but known from nginx. */
const clientGone = 499;
/**
 * Pauses before a connection that was refused is tried again: long enough for a process to listen in the place of another.
 * They need no budget of retries: what listens nowhere gets no load from them.
 */
const refusedBackoff = { firstMs: 20, maxMs: 320 };
/** how long connections that were not made are tried again, from the first one on */
const refusedForMs = 1_000;
/** Codes of connections that were not made, so that they have carried nothing. */
const unconnected = new Set(['ECONNREFUSED', 'UND_ERR_CONNECT_TIMEOUT']);

function codeOf(error: unknown): string {
  const { code, name } = error as { code?: string; name: string };
  return code ?? name;
}

/** Codes of undici for a request that it does not send: the client has caused them. */
const refusedRequest = new Set(['UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED']);
/** Until then, a client that does not read its answer holds a permit. */
const unreadMs = 15_000;

/** The parts that all exchanges share. */
export interface ExchangeContext {
  /** whether to trust the X-Forwarded headers of the peer */
  trustProxy: boolean;
  /** how long a client may read nothing of its answer, in milliseconds; default 15 s */
  unreadMs?: number | undefined;
  health: Health;
  problems: ProblemLog;
}

/**
 * One request through the gateway. It is undici's handler for the upstream's answer, so that a proxied
 * request costs this object, two spans and no promise.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly route: Route;
  readonly #context: ExchangeContext;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #span: Span;
  readonly #startedAt = performance.now();
  #upstream: Upstream | undefined;
  #target = '';
  #subject: string | undefined;
  #body: RequestBody = null;
  /** the current attempt: its permit, its span, and the controller after the request was written */
  #permit: Permit | undefined;
  #call: Span | undefined;
  #controller: Controller | undefined;
  #attempts = 0;
  #refusals = 0;
  #refusedAt = 0;
  #closed = false;
  /** ends an answer that the client does not read */
  #unread: NodeJS.Timeout | undefined;

  constructor(context: ExchangeContext, route: Route, request: IncomingMessage, response: ServerResponse) {
    this.#context = context;
    this.route = route;
    this.#request = request;
    this.#response = response;
    const parent = request.headers['traceparent'];
    this.#span = startSpan(route.name, {
      kind: SpanKind.SERVER,
      parent: typeof parent === 'string' ? parent : undefined,
      attributes: { 'http.request.method': request.method ?? '', 'http.route': route.template },
    });
    response.once('close', () => this.#end());
  }

  /**
   * Forwards the request.
   * @param target path and query on the service
   * @param subject whose verified token the request has
   */
  forward(upstream: Upstream, target: string, body: RequestBody, subject?: string): void {
    if (this.#closed) return;
    this.#subject = subject;
    this.#upstream = upstream;
    this.#target = target;
    this.#body = body;
    upstream.retries.deposit();
    this.#attempt();
  }

  /** Answers the request without the service. */
  refuse(problem: Problem): void {
    this.#name(problem);
    sendProblem(problem, this.#request, this.#response);
  }

  /**
   * Ends an event stream as if the service had ended it: the client connects again.
   * @param unopened the answer where it has not begun
   */
  endStream(unopened: Problem): void {
    this.#controller?.abort(gone);
    if (this.#response.headersSent) this.#response.end();
    else this.refuse(unopened);
  }

  #attempt(): void {
    const upstream = this.#upstream!;
    const permit = upstream.acquire(this.route.streams);
    if (permit instanceof Problem) return this.refuse(permit);
    this.#permit = permit;
    this.#controller = undefined;
    this.#attempts += 1;
    const method = this.#request.method ?? 'GET';
    this.#call = startSpan(`${method} ${this.route.path}`, {
      kind: SpanKind.CLIENT,
      parent: trace.setSpan(ROOT_CONTEXT, this.#span),
      attributes: { 'http.request.method': method, 'server.address': upstream.host, 'server.port': upstream.port },
    });
    this.#send();
  }

  #send(): void {
    const upstream = this.#upstream!;
    const method = this.#request.method ?? 'GET';
    const forwarding = { trustProxy: this.#context.trustProxy, prefix: this.route.prefix, subject: this.#subject };
    const headers = requestHeaders(this.#request, forwarding, traceparentOf(this.#call!));
    const pool = this.route.streams ? upstream.streams : upstream.calls;
    pool.dispatch({ method, path: this.#target, headers, body: this.#body }, this);
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#closed) controller.abort(gone);
  }

  onResponseStart(_: Controller, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200 || this.#closed) return;
    const upstream = this.#upstream!;
    // any answer shows that the service is reachable
    upstream.settle(this.#permit!, 'success');
    const flat = responseHeaders(headers, this.route.prefix, upstream.origin);
    if (headers['cache-control'] === undefined) flat.push('cache-control', 'no-store'); // it is one client's own
    flat.push('x-content-type-options', 'nosniff', 'x-trace-id', this.#span.spanContext().traceId);
    if (!this.#request.complete || this.#context.health.draining) flat.push('connection', 'close');
    this.#response.writeHead(status, flat);
    if (this.route.streams) this.#response.flushHeaders();
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (this.#response.write(chunk) || this.#closed) return;
    controller.pause();
    this.#unread = setTimeout(() => this.#response.destroy(), this.#context.unreadMs ?? unreadMs);
    this.#response.once('drain', () => {
      clearTimeout(this.#unread);
      controller.resume();
    });
  }

  onResponseEnd(): void {
    this.#release('success');
    this.#response.end();
  }

  onResponseError(_: Controller | undefined, error: Error): void {
    if (this.#closed || error === gone) return this.#release('abandoned', error);
    if (refusedRequest.has(codeOf(error))) {
      this.#release('abandoned', error);
      return this.refuse(new Problem(400, { detail: 'The request is malformed', cause: error }));
    }
    if (this.#sendAgain(error)) return;
    this.#release('failure', error);
    countFailed(this.#upstream!.name, codeOf(error));
    if (this.#response.headersSent) this.#response.destroy();
    else if (this.#mayRetry()) this.#retry();
    else this.#fail(error);
  }

  /** A connection that was not made has carried nothing: whatever the method is, the request can wait for the next one. */
  #sendAgain(error: Error): boolean {
    if (!unconnected.has(codeOf(error))) return false;
    const now = performance.now();
    if (this.#refusals === 0) this.#refusedAt = now;
    else if (now - this.#refusedAt > refusedForMs) return false;
    this.#refusals += 1;
    const pauseMs = backoffMs(this.#refusals, refusedBackoff);
    setTimeout(() => {
      if (this.#closed) return this.#release('abandoned', gone);
      countRetry(this.#upstream!.name);
      this.#send();
    }, pauseMs);
    return true;
  }

  #retry(): void {
    countRetry(this.#upstream!.name);
    this.#attempt();
  }

  /** Excludes a request that the service may have processed. */
  #mayRetry(): boolean {
    return this.#isHarmless && this.#attempts === 1 && this.#upstream!.retries.withdraw();
  }

  /** Whether the request changes nothing, whatever becomes of it. */
  get #isHarmless(): boolean {
    const { method } = this.#request;
    return method === 'GET' || method === 'HEAD';
  }

  #fail(error: Error): void {
    const problem = this.#problemOf(error);
    const { traceId } = this.#span.spanContext();
    // while the service is down, the breaker logs it
    if (problem.status !== 503) this.#context.problems.write(problem, { route: this.route.name, trace_id: traceId });
    this.refuse(problem);
  }

  /** 503 means that the service did nothing. If it is not known what became of a command, that is 504 `outcome-unknown`. */
  #problemOf(cause: Error): Problem {
    const { name, headersTimeoutMs } = this.#upstream!;
    if (this.#controller === undefined) return this.#upstream!.down(cause);
    const isLate = codeOf(cause) === 'UND_ERR_HEADERS_TIMEOUT';
    const detail = isLate
      ? `The ${name} service did not answer within ${headersTimeoutMs} ms`
      : `The connection to the ${name} service was lost before its answer`;
    return this.#isHarmless ? new Problem(isLate ? 504 : 502, { detail, cause }) : outcomeUnknown(detail, cause);
  }

  #release(outcome: CallOutcome, error?: unknown): void {
    const permit = this.#permit;
    if (permit === undefined) return;
    this.#permit = undefined;
    this.#upstream!.release(permit, outcome);
    const call = this.#call!;
    if (error !== undefined) {
      call.setAttribute('error.type', codeOf(error));
      call.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).message });
    } else {
      call.setAttribute('http.response.status_code', this.#response.statusCode);
    }
    call.end();
  }

  /** Names the trace of a refused request, too. */
  #name(problem: Problem): void {
    problem.headers['X-Trace-Id'] = this.#span.spanContext().traceId;
  }

  /** The answer is sent, or the client has disconnected: ends the call to the service. */
  #end(): void {
    this.#closed = true;
    clearTimeout(this.#unread);
    if (this.#permit !== undefined) this.#controller?.abort(gone);
    const { headersSent, statusCode, writableFinished } = this.#response;
    observeRequest(
      this.#request.method ?? '',
      this.route.template,
      headersSent ? statusCode : clientGone,
      this.#startedAt,
    );
    if (headersSent) this.#span.setAttribute('http.response.status_code', statusCode);
    if (!writableFinished) this.#span.setAttribute('error.type', 'client_gone');
    if (headersSent && statusCode >= 500) this.#span.setStatus({ code: SpanStatusCode.ERROR });
    this.#span.end();
  }
}
