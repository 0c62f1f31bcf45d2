import { collectContracts, opsContracts, opsDocument } from '#platform/contract';
import type { ContractRegistry } from '#platform/contract';
import type { Health } from '#platform/health';
import { ProblemLog, createApp, createHttpServer, mountErrors, mountHealth, mountRead } from '#platform/http';
import type { Logger } from '#platform/telemetry';
import { createAuthenticate } from './auth.ts';
import type { AuthOptions } from './auth.ts';
import type { BodyBudget } from './body-budget.ts';
import { publishMetrics } from './metrics.ts';
import { mountPages } from './pages.ts';
import type { PageSettings } from './pages.ts';
import { Proxy } from './proxy.ts';
import { RateLimiter } from './rate-limit.ts';
import type { Draining } from '#platform/http';
import { StreamShares } from './stream-shares.ts';
import { SystemHealthCheck } from './system-health.ts';
import { Upstream } from './upstream.ts';
import type { UpstreamLimits } from './upstream.ts';

/** In bytes: less than the services take, because the gateway adds headers. */
const maxHeaderSize = 15 * 1024;

export interface GatewayOptions {
  contracts: ContractRegistry;
  /** where the services are, by name: each that has a contract */
  addresses: Readonly<Record<string, string>>;
  /** the services that consume events: their operations are below `/api/ops/{service}` */
  consumers?: readonly string[];
  health: Health;
  log: Logger;
  limits?: UpstreamLimits;
  trustProxy?: boolean;
  /** how long a client may read nothing of its answer, in milliseconds */
  unreadMs?: number;
  bodies?: BodyBudget;
  /** requests a second of one client; 0 is no limit */
  rateLimit?: number;
  /** the most event streams of one client */
  streamsOfClient?: number;
  auth?: AuthOptions | undefined;
  pages?: Omit<PageSettings, 'auth'>;
}

/** The platform's only entry: proxied operations, pages and documents, health and metrics. */
export async function createGateway(options: GatewayOptions): Promise<Draining> {
  const { contracts, health, log, auth, consumers = [], rateLimit = 0 } = options;
  const upstreams = upstreamsOf(options);
  const all = [...upstreams.values()];
  publishMetrics(all);
  const problems = new ProblemLog(log);

  const proxy = new Proxy({
    contracts: [...contracts.contracts, ...opsContracts(consumers)],
    upstreams,
    health,
    problems,
    trustProxy: options.trustProxy ?? false,
    unreadMs: options.unreadMs,
    bodies: options.bodies,
    authenticate: auth && (await createAuthenticate(auth)),
    shares: new StreamShares(options.streamsOfClient),
    limiter: rateLimit > 0 ? new RateLimiter(rateLimit) : undefined,
  });

  const app = createApp();
  const system = new SystemHealthCheck(all);
  mountRead(app, '/health', async (_, response) => {
    const report = await system.report();
    response.status(report.status === 'UP' ? 200 : 503).json(report);
  });
  mountHealth(app, 'gateway', health);
  const documented = consumers.length > 0 ? [...contracts.contracts, opsDocument(consumers)] : contracts.contracts;
  mountPages(app, collectContracts(contracts, documented), { auth: auth !== undefined, ...options.pages });
  mountErrors(app, problems);

  // proxied requests bypass Express: they do not need it, and it costs 5 µs a request
  const server = createHttpServer(
    (request, response) => {
      if (!proxy.handle(request, response)) app(request, response);
    },
    health,
    { maxHeaderSize },
  );
  return {
    listen: server.listen,
    async close() {
      const closed = server.close();
      proxy.endStreams();
      await closed;
      await Promise.all(all.map((upstream) => upstream.close()));
    },
  };
}

function upstreamsOf({ contracts, addresses, limits, log }: GatewayOptions): ReadonlyMap<string, Upstream> {
  const create = (name: string) =>
    new Upstream(name, addresses[name]!, {
      ...limits,
      breaker: {
        ...limits?.breaker,
        onChange: (state) => log.warn({ upstream: name, state }, `the circuit to ${name} is ${state}`),
      },
    });
  return new Map(contracts.contracts.map(({ name }) => [name, create(name)]));
}
