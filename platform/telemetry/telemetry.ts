import { messageOf } from '#platform/errors';

import { ROOT_CONTEXT, SpanStatusCode, TraceFlags, context, isSpanContextValid, trace } from '@opentelemetry/api';
import type { Attributes, Context, Span, SpanContext, SpanKind, TimeInput } from '@opentelemetry/api';

export { SpanKind, SpanStatusCode } from '@opentelemetry/api';
export type { Attributes, Span } from '@opentelemetry/api';

const tracer = trace.getTracer('millrace');

/**
 * Starts OpenTelemetry for a service. If OTEL_EXPORTER_OTLP_ENDPOINT is set, the Node SDK exports spans there and follows the
 * other standard variables. Without it no span is recorded, but services still make and pass on trace ids, so that logs of
 * several services can be matched; this needs a fraction of the SDK's memory.
 */
export async function startTelemetry(service: string): Promise<{ stop(): Promise<void> }> {
  const { env } = process;
  if (!env['OTEL_EXPORTER_OTLP_ENDPOINT'] && !env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT']) return passIdsOn();
  env['OTEL_METRICS_EXPORTER'] ??= 'none';
  env['OTEL_LOGS_EXPORTER'] ??= 'none';
  env['OTEL_NODE_RESOURCE_DETECTORS'] ??= 'env,host';
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  const sdk = new NodeSDK({ serviceName: service, instrumentations: [] });
  sdk.start();
  return { stop: () => sdk.shutdown() };
}

async function passIdsOn(): Promise<{ stop(): Promise<void> }> {
  const [{ AlwaysOffSampler, TracerProvider }, { AsyncLocalStorageContextManager }] = await Promise.all([
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/context-async-hooks'),
  ]);
  const provider = new TracerProvider({ sampler: new AlwaysOffSampler() });
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  return { stop: () => provider.shutdown() };
}

/** The W3C `traceparent` of a span context. */
function format(span: SpanContext): string {
  return `00-${span.traceId}-${span.spanId}-${span.traceFlags & TraceFlags.SAMPLED ? '01' : '00'}`;
}

/** The W3C `traceparent` of a span. */
export function traceparentOf(span: Span): string {
  return format(span.spanContext());
}

/** The W3C `traceparent` of the active span; undefined if there is none. */
export function inject(): string | undefined {
  const span = trace.getActiveSpan()?.spanContext();
  return span && isSpanContextValid(span) ? format(span) : undefined;
}

/** Whether a `traceparent` has the sampled flag. */
export function isSampled(traceparent: string | undefined): traceparent is string {
  return traceparent !== undefined && traceparent.endsWith('1') && traceparent.length === 55;
}

const pattern = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** The context of a `traceparent`; the root context if it is missing or malformed (W3C Trace Context, 3.2). */
export function contextOf(traceparent: string | undefined): Context {
  const match = traceparent === undefined ? null : pattern.exec(traceparent);
  if (!match) return ROOT_CONTEXT;
  const [, traceId, spanId, flags] = match as unknown as [string, string, string, string];
  const remote = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
  return isSpanContextValid(remote) ? trace.setSpanContext(ROOT_CONTEXT, remote) : ROOT_CONTEXT;
}

export interface SpanOptions {
  kind?: SpanKind;
  /** a `traceparent`, or the parent context; default: the active one */
  parent?: string | Context | undefined;
  attributes?: Attributes;
  startTime?: TimeInput;
}

/**
 * Starts a span. Under a parent that is not sampled, no span is recorded, whatever the sampler: the parent's context replaces
 * the span, at almost no cost.
 */
export function startSpan(name: string, { parent, ...options }: SpanOptions = {}): Span {
  const under = typeof parent === 'string' ? contextOf(parent) : (parent ?? context.active());
  const above = trace.getSpanContext(under);
  if (above && !(above.traceFlags & TraceFlags.SAMPLED)) return trace.wrapSpanContext(above);
  return tracer.startSpan(name, options, under);
}

/** Runs `work` with the span active. */
export function withSpan<T>(span: Span, work: () => T): T {
  return context.with(trace.setSpan(context.active(), span), work);
}

/** Ends a span that failed. */
export function failSpan(span: Span, error: unknown): void {
  span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
  if (error instanceof Error) span.recordException(error);
  span.end();
}
