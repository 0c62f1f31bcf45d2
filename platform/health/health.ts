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
 * What a service needs to answer requests (readiness), what it needs for the rest of its work, and what tells that it is
 * stuck (liveness). A service that cannot do the rest still answers: orders are taken while Kafka is away.
 */
export class Health {
  readonly #readiness = new Map<string, Check>();
  readonly #work = new Map<string, Check>();
  readonly #liveness = new Map<string, Check>();
  #draining = false;

  /** Adds what requests depend on; the check throws, with the reason as message, while it is not usable. */
  addReadiness(name: string, check: Check): void {
    this.#readiness.set(name, check);
  }

  /** Adds what goes on beside requests; the check throws while it does not. */
  addWork(name: string, check: Check): void {
    this.#work.set(name, check);
  }

  /** Adds a check that throws when only a restart can help. */
  addLiveness(name: string, check: Check): void {
    this.#liveness.set(name, check);
  }

  /** From now on the service is not ready: a load balancer should stop sending. */
  drain(): void {
    this.#draining = true;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Whether it should be sent requests. */
  async readiness(): Promise<HealthReport> {
    return this.#unlessDraining(await run(this.#readiness));
  }

  /** Whether it does all that it is there for. */
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
        return [
          name,
          { status: 'DOWN' as const, reason: error instanceof Error ? error.message : String(error) },
        ] as const;
      }
    }),
  );
  const status = entries.every(([, check]) => check.status === 'UP') ? 'UP' : 'DOWN';
  return { status, checks: Object.fromEntries(entries) };
}

async function withTimeout(check: Check): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${checkTimeoutMs} ms`)), checkTimeoutMs);
  });
  try {
    await Promise.race([check(), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
