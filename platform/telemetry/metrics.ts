import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/** The process's metrics; `GET /metrics` prints them. */
export const registry = new Registry();
collectDefaultMetrics({ register: registry });

interface MetricOptions {
  name: string;
  help: string;
  labelNames?: string[];
}

/** The counter of this name; the first call creates it. */
export function counter(options: MetricOptions): Counter {
  return (
    (registry.getSingleMetric(options.name) as Counter | undefined) ??
    new Counter({ ...options, registers: [registry] })
  );
}

/** The gauge of this name; `collect` runs before each scrape. */
export function gauge(options: MetricOptions & { collect?: (this: Gauge) => void | Promise<void> }): Gauge {
  return (
    (registry.getSingleMetric(options.name) as Gauge | undefined) ?? new Gauge({ ...options, registers: [registry] })
  );
}

/** The histogram of this name; the default buckets are seconds, from 1 ms to 10 s. */
export function histogram(options: MetricOptions & { buckets?: number[] }): Histogram {
  const buckets = options.buckets ?? [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
  return (
    (registry.getSingleMetric(options.name) as Histogram | undefined) ??
    new Histogram({ ...options, buckets, registers: [registry] })
  );
}
