import { counter, gauge } from '#platform/telemetry';
import type { BreakerState } from '#platform/http';
import type { Upstream } from './upstream.ts';

const states: readonly BreakerState[] = ['closed', 'open', 'half-open'];

/** Publishes the state of the upstreams; each scrape reads it. */
export function publishMetrics(upstreams: readonly Upstream[]): void {
  gauge({
    name: 'millrace_gateway_in_flight',
    help: 'Calls in flight and open event streams by upstream',
    labelNames: ['upstream', 'kind'],
    collect() {
      for (const { name, inFlight, openStreams } of upstreams) {
        this.set({ upstream: name, kind: 'call' }, inFlight);
        this.set({ upstream: name, kind: 'stream' }, openStreams);
      }
    },
  });
  gauge({
    name: 'millrace_gateway_circuit',
    help: 'State of the circuit breaker: 1 for the current state',
    labelNames: ['upstream', 'state'],
    collect() {
      for (const { name, breaker } of upstreams) {
        for (const state of states) this.set({ upstream: name, state }, breaker.state === state ? 1 : 0);
      }
    },
  });
}

const refused = counter({
  name: 'millrace_gateway_refused_total',
  help: 'Requests that were not forwarded: shed (too many in flight), the circuit open, or a share (too many streams of one client)',
  labelNames: ['upstream', 'reason'],
});

const failed = counter({
  name: 'millrace_gateway_failed_total',
  help: 'Calls that failed without an answer, by the code of the error',
  labelNames: ['upstream', 'code'],
});

const retried = counter({
  name: 'millrace_gateway_retries_total',
  help: 'Calls that were retried',
  labelNames: ['upstream'],
});

export const countRefused = (upstream: string, reason: 'shed' | 'open' | 'share') => refused.inc({ upstream, reason });
export const countFailed = (upstream: string, code: string) => failed.inc({ upstream, code });
export const countRetry = (upstream: string) => retried.inc({ upstream });
