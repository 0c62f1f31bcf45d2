import type { HealthReport } from '#platform/health';
import type { BreakerState } from '#platform/http';
import type { Upstream } from './upstream.ts';

export interface ServiceHealth {
  status: 'UP' | 'DOWN';
  reason?: string;
  /** whether the gateway forwards requests for the service, or refuses them */
  circuit: BreakerState;
  responseMs?: number;
  /** the service's own checks */
  checks?: HealthReport['checks'];
}

export interface SystemHealth {
  status: 'UP' | 'DOWN';
  service: 'gateway';
  checks: Record<string, ServiceHealth>;
  timestamp: string;
}

const timeoutMs = 1_000;
const freshMs = 1_000;

/** Asks every service for its health, at most once a second for any number of requests to the gateway. */
export class SystemHealthCheck {
  readonly #upstreams: readonly Upstream[];
  #latest: Promise<SystemHealth> | undefined;
  #askedAt = 0;

  constructor(upstreams: readonly Upstream[]) {
    this.#upstreams = upstreams;
  }

  report(): Promise<SystemHealth> {
    const now = performance.now();
    if (this.#latest === undefined || now - this.#askedAt >= freshMs) {
      this.#askedAt = now;
      this.#latest = this.#ask();
    }
    return this.#latest;
  }

  async #ask(): Promise<SystemHealth> {
    const entries = await Promise.all(
      this.#upstreams.map(async (upstream) => [upstream.name, await ask(upstream)] as const),
    );
    const up = entries.every(([, { status }]) => status === 'UP');
    return {
      status: up ? 'UP' : 'DOWN',
      service: 'gateway',
      checks: Object.fromEntries(entries),
      timestamp: new Date().toISOString(),
    };
  }
}

async function ask(upstream: Upstream): Promise<ServiceHealth> {
  const startedAt = performance.now();
  const circuit = upstream.breaker.state;
  try {
    const { statusCode, body } = await upstream.calls.request({
      method: 'GET',
      path: '/health',
      signal: AbortSignal.timeout(timeoutMs),
    });
    const report = (await body.json()) as HealthReport;
    const responseMs = Math.round(performance.now() - startedAt);
    const { checks } = report;
    if (statusCode === 200) return { status: 'UP', circuit, responseMs, checks };
    return { status: 'DOWN', reason: reasonOf(checks), circuit, responseMs, checks };
  } catch (error) {
    return { status: 'DOWN', reason: unreachable(error), circuit };
  }
}

function reasonOf(checks: HealthReport['checks'] | undefined): string {
  const down = Object.entries(checks ?? {}).filter(([, { status }]) => status === 'DOWN');
  return down.map(([name, { reason }]) => (reason ? `${name}: ${reason}` : name)).join('; ') || 'not ready';
}

function unreachable(error: unknown): string {
  const { name, code } = error as { name?: string; code?: string };
  if (name === 'TimeoutError' || code?.endsWith('TIMEOUT')) return `no answer within ${timeoutMs} ms`;
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (code === 'ENOTFOUND') return 'unknown host name';
  return 'cannot be reached';
}
