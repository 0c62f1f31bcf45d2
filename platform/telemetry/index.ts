export { createLogger } from './log.ts';
export type { Logger } from './log.ts';
export { counter, gauge, histogram, registry } from './metrics.ts';
export { Repeats } from './repeats.ts';
export {
  SpanKind,
  SpanStatusCode,
  failSpan,
  inject,
  isSampled,
  startSpan,
  startTelemetry,
  traceparentOf,
  withSpan,
} from './telemetry.ts';
export type { Span } from './telemetry.ts';
