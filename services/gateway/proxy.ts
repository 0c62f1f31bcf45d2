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
import type { RateLimiter } from './rate-limit.ts';
import { Routes } from './routes.ts';
import { StreamShares } from './stream-shares.ts';
import type { Upstream } from './upstream.ts';

export interface ProxyOptions extends ExchangeContext {
  contracts: readonly Contract[];
  upstreams: ReadonlyMap<string, Upstream>;
  authenticate?: Authenticate | undefined;
  limiter?: RateLimiter | undefined;
  /** the memory of bodies; default: as much as the gateway's pod can have */
  bodies?: BodyBudget | undefined;
}

/** Sends the operations of the contract to their services. */
export class Proxy {
  readonly #options: ProxyOptions;
  readonly #routes: Routes;
  readonly #streams = new Set<Exchange>();
  readonly #shares = new StreamShares();
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
    try {
      const { subject, roles, expiresAt } = await authenticate(request);
      const { role } = exchange.route;
      if (role !== undefined && !roles.has(role)) throw new Problem(403, { detail: `The role ${role} is required` });
      if (exchange.route.streams) endAt(expiresAt, exchange, response);
      this.#pass(exchange, target, request, response, subject);
    } catch (error) {
      const problem = error instanceof Problem ? error : new Problem(500, { cause: error });
      const { limiter, trustProxy } = this.#options;
      // who has no token is known by the address alone
      const refused = problem.status === 401 ? limiter?.take(clientAddress(request, trustProxy)) : undefined;
      exchange.refuse(refused ?? problem);
    }
  }

  #pass(
    exchange: Exchange,
    target: string,
    request: IncomingMessage,
    response: ServerResponse,
    subject: string | undefined,
  ): void {
    const { limiter, trustProxy, upstreams } = this.#options;
    const client = () => subject ?? clientAddress(request, trustProxy);
    const isStream = exchange.route.streams;
    const refused = limiter?.take(client()) ?? (isStream ? this.#shares.take(client(), response) : undefined);
    if (refused) return exchange.refuse(refused);
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
