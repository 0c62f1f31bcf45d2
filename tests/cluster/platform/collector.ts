import { apply, kubectlIn, output, scriptPod } from './cluster.ts';
import { script } from './installed.ts';

/** The namespace of monitoring. */
export const monitoring = 'observability';
export const collectorUrl = `http://otel-collector.${monitoring}:4318`;

/** Runs a receiver of spans in place of the OpenTelemetry Collector. */
export async function startCollector(image: string): Promise<void> {
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: monitoring } };
  await output('kubectl', ['apply', '-f', '-'], JSON.stringify(namespace));
  await stopCollector();
  for (const object of scriptPod('collector', image, script('spans.mjs'))) await apply(object, monitoring);
  const spec = { selector: { app: 'collector' }, ports: [{ port: 4318 }] };
  await apply({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'otel-collector' }, spec }, monitoring);
  await kubectlIn(monitoring, 'wait', '--for=condition=Ready', 'pod/collector', '--timeout=60s');
}

export async function stopCollector(): Promise<void> {
  await kubectlIn(monitoring, 'delete', 'pod,configmap', 'collector', '--ignore-not-found');
  await kubectlIn(monitoring, 'delete', 'service', 'otel-collector', '--ignore-not-found');
}
