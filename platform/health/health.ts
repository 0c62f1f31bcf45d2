import { messageOf, PlatformError } from '#platform/errors';

export type Check = () => void | Promise<void>;

export interface HealthReport {
  status: 'UP' | 'DOWN';
  checks: Record<string, { status: 'UP' | 'DOWN'; reason?: string }>;
}

/** The answer to who asks a service for a report of its health. */
export function healthAnswer(service: string, { status, checks }: HealthReport) {
  return { status: status === 'UP' ? 200 : 503, body: { status, service, checks } };
}

const checkTimeoutMs = 2_000;

/**
 * The checks of a service: whether it can answer requests (readiness), whether it can do its other work, and whether it is
 * stuck (liveness). A service whose other work fails still answers: it accepts orders while Kafka is unavailable.
 */
export class Health {
  readonly #readiness = new Map<string, Check>();
  readonly #work = new Map<string, Check>();
  readonly #liveness = new Map<string, Check>();
  #draining = false;

  /** Adds a check of something that requests need; it throws, with the reason as message, while this is unavailable. */
  addReadiness(name: string, check: Check): void {
    this.#readiness.set(name, check);
  }

  /** Adds a check of work beside requests; it throws while the work fails. */
  addWork(name: string, check: Check): void {
    this.#work.set(name, check);
  }

  /** Adds a check that throws when only a restart can help. */
  addLiveness(name: string, check: Check): void {
    this.#liveness.set(name, check);
  }

  /** Makes the service not ready, so that load balancers stop sending requests. */
  drain(): void {
    this.#draining = true;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Whether load balancers should send requests. */
  async readiness(): Promise<HealthReport> {
    return this.#unlessDraining(await run(this.#readiness));
  }

  /** Whether all checks pass. */
  async report(): Promise<HealthReport> {
    return this.#unlessDraining(await run(new Map([...this.#readiness, ...this.#work])));
  }

  #unlessDraining(report: HealthReport): HealthReport {
    if (!this.#draining) return report;
    return { status: 'DOWN', checks: { ...report.checks, shutdown: { status: 'DOWN', reason: 'shutting down' } } };
  }

  liveness(): Promise<HealthReport> {
    return run(this.#liveness);
  }
}

async function run(checks: Map<string, Check>): Promise<HealthReport> {
  const entries = await Promise.all(
    [...checks].map(async ([name, check]) => {
      try {
        await withTimeout(check);
        return [name, { status: 'UP' as const }] as const;
      } catch (error) {
        return [name, { status: 'DOWN' as const, reason: messageOf(error) }] as const;
      }
    }),
  );
  const status = entries.every(([, check]) => check.status === 'UP') ? 'UP' : 'DOWN';
  return { status, checks: Object.fromEntries(entries) };
}

async function withTimeout(check: Check): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new PlatformError('ERR_HEALTH_CHECK_TIMEOUT', `no answer within ${checkTimeoutMs} ms`)),
      checkTimeoutMs,
    );
  });
  try {
    await Promise.race([check(), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
