import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Contract } from '#platform/contract';
import { bodyLimit, Problem, sendProblem, unavailable } from '#platform/http';
import { tokenExpired } from './auth.ts';
import type { Authenticate } from './auth.ts';
import { BodyBudget } from './body-budget.ts';
import { declaredLength, readBody, tooLarge } from './body.ts';
import { Exchange } from './exchange.ts';
import type { ExchangeContext } from './exchange.ts';
import { clientAddress } from './headers.ts';
import { countRefused } from './metrics.ts';
import type { RateLimiter } from './rate-limit.ts';
import { Routes } from './routes.ts';
import type { StreamShares } from './stream-shares.ts';
import type { Upstream } from './upstream.ts';

export interface ProxyOptions extends ExchangeContext {
  contracts: readonly Contract[];
  upstreams: ReadonlyMap<string, Upstream>;
  authenticate?: Authenticate | undefined;
  limiter?: RateLimiter | undefined;
  shares: StreamShares;
  /** the memory of bodies; default: as much as the gateway's pod can have */
  bodies?: BodyBudget | undefined;
}

/** Sends the operations of the contract to their services. */
export class Proxy {
  readonly #options: ProxyOptions;
  readonly #routes: Routes;
  readonly #streams = new Set<Exchange>();
  readonly #bodies: BodyBudget;

  constructor(options: ProxyOptions) {
    this.#options = options;
    this.#routes = new Routes(options.contracts);
    this.#bodies = options.bodies ?? new BodyBudget();
  }

  /** Serves a request; returns false if no operation has its path. */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    const method = request.method ?? 'GET';
    const match = this.#routes.match(method, request.url ?? '/');
    if (match.kind === 'unknown') return false;
    if (match.kind === 'wrong-method') {
      if (method === 'OPTIONS') response.writeHead(204, { Allow: match.allow }).end();
      else sendProblem(wrongMethod(method, match.allow), request, response);
      return true;
    }
    const exchange = new Exchange(this.#options, match.route, request, response);
    if (match.route.streams) this.#track(exchange, response);
    if (this.#options.authenticate)
      void this.#admit(this.#options.authenticate, exchange, match.target, request, response);
    else this.#pass(exchange, match.target, request, response, undefined);
    return true;
  }

  /** Ends all event streams: a drain would wait for them for ever. */
  endStreams(): void {
    for (const exchange of this.#streams) exchange.endStream(unavailable('The gateway is shutting down'));
  }

  async #admit(
    authenticate: Authenticate,
    exchange: Exchange,
    target: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    let subject: string | undefined;
    try {
      const principal = await authenticate(request);
      if (response.closed) return; // the client has left, and nothing would end what begins now
      ({ subject } = principal);
      const { role, streams } = exchange.route;
      if (role !== undefined && !principal.roles.has(role))
        throw new Problem(403, { detail: `The role ${role} is required` });
      if (streams) endAt(principal.expiresAt, exchange, response);
      this.#pass(exchange, target, request, response, subject);
    } catch (error) {
      const problem = error instanceof Problem ? error : new Problem(500, { cause: error });
      const isClients = problem.status === 401 || problem.status === 403;
      const refused = isClients ? this.#options.limiter?.take(this.#clientOf(request, subject)) : undefined;
      exchange.refuse(refused ?? problem);
    }
  }

  /** Who a request counts for: the subject of its token, or else its address. */
  #clientOf(request: IncomingMessage, subject: string | undefined): string {
    return subject === undefined ? clientAddress(request, this.#options.trustProxy) : `subject ${subject}`;
  }

  #pass(
    exchange: Exchange,
    target: string,
    request: IncomingMessage,
    response: ServerResponse,
    subject: string | undefined,
  ): void {
    const { limiter, shares, upstreams } = this.#options;
    const client = () => this.#clientOf(request, subject);
    const limited = limiter?.take(client());
    if (limited) return exchange.refuse(limited);
    const tooMany = exchange.route.streams ? shares.take(client(), response) : undefined;
    if (tooMany) {
      countRefused(exchange.route.upstream, 'share');
      return exchange.refuse(tooMany);
    }
    const length = declaredLength(request);
    if (length !== undefined && length > bodyLimit) return exchange.refuse(tooLarge());
    const upstream = upstreams.get(exchange.route.upstream)!;
    readBody(request, response, length, {
      budget: this.#bodies,
      client,
      ready: (body) => exchange.forward(upstream, target, body, subject),
      refuse: (problem) => exchange.refuse(problem),
    });
  }

  #track(exchange: Exchange, response: ServerResponse): void {
    this.#streams.add(exchange);
    response.once('close', () => this.#streams.delete(exchange));
  }
}

/** The longest that a timer of Node takes. */
const maxTimerMs = 2 ** 31 - 1;

/** A stream has no right that its token no longer has: its client comes again with another one. */
function endAt(expiresAt: number, exchange: Exchange, response: ServerResponse): void {
  const timer = setTimeout(() => exchange.endStream(tokenExpired()), Math.min(expiresAt - Date.now(), maxTimerMs));
  response.once('close', () => clearTimeout(timer));
}

const wrongMethod = (method: string, allow: string) =>
  new Problem(405, { detail: `${method} is not allowed here`, headers: { Allow: allow } });
