// What `npm run check` says of the charts, where there is a Helm: `helm lint --strict`, and whether each permutation of values gives what
// Kubernetes knows.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Compile } from 'typebox/compile';

import { EventServiceSpec } from '#platform/declaration-schema';

import { readValues, type Value } from './generate/values.ts';
import { typeFaults } from './testing/kubernetes-types.ts';
import { migrationJob, storedSpec } from './testing/migration-job.ts';
import { permutations } from './testing/permutations.ts';
import { chartFolder, lint, podTemplates, render, renderMeanwhile, withoutHelm, type Resource } from './testing.ts';

/** Kinds of other operators, whose schemas only a cluster with them has. */
const foreign = [
  'Kafka',
  'KafkaNodePool',
  'Cluster',
  'ObjectStore',
  'ScheduledBackup',
  'PodMonitor',
  'ServiceMonitor',
  'PrometheusRule',
  'GrafanaDashboard',
  'HTTPRoute',
];
const eventService = Compile(EventServiceSpec);

/** What is wrong with a resource by itself. */
function faultsOf(resource: Resource): string[] {
  const at = `${resource.kind} ${resource.metadata.name}`;
  const found = faultsIn(resource, at);
  if (resource.kind === 'EventService') {
    for (const { instancePath, message } of eventService.Errors(storedSpec(resource)))
      found.push(`${at} spec${instancePath} ${message}`);
    const job = migrationJob(resource);
    found.push(...faultsIn(job, `${at} ${job.metadata.name}`), ...typeFaults(job)!);
  } else if (resource.kind !== 'StreamQuery' && !foreign.includes(resource.kind))
    found.push(...(typeFaults(resource) ?? [`${at}: this kind is unknown`]));
  return found;
}

/** Values that no resource has: nulls, numbers that Helm has made text of, ports that are none. */
function faultsIn(value: unknown, path: string): string[] {
  if (value === null) return [`${path} is null`];
  if (typeof value === 'string') return /^\d(\.\d+)?e\+\d+$|%!|<no value>/.test(value) ? [`${path} is ${value}`] : [];
  if (typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([key, one]: [string, unknown]) => {
    const isPort = /^(port|targetPort|containerPort|nodePort)$/.test(key) && typeof one === 'number';
    return isPort && (one < 1 || one > 65_535) ? [`${path}.${key} is ${one}`] : faultsIn(one, `${path}.${key}`);
  });
}

/** What a resource names in the release that is not there: pods, volumes, Deployments. */
function danglingIn(resources: Resource[]): string[] {
  const pods = [...podTemplates(resources)];
  const hasPod = (selector: Record<string, string>) =>
    pods.some(([, { metadata }]) => {
      const labels = (metadata as unknown as { labels: Record<string, string> }).labels;
      return Object.entries(selector).every(([key, value]) => labels[key] === value);
    });
  const selectors = resources.flatMap(({ kind, metadata, spec }) => {
    if (kind === 'Service') return [[metadata.name, spec.selector] as const];
    if (kind === 'PodDisruptionBudget') return [[metadata.name, spec.selector.matchLabels] as const];
    return [];
  });
  const mounts = pods.flatMap(([name, { spec }]) => {
    const volumes = new Set((spec['volumes'] ?? []).map((volume: { name: string }) => volume.name));
    const claims = name.startsWith('StatefulSet') ? ['data'] : [];
    return [...spec['containers'], ...(spec['initContainers'] ?? [])]
      .flatMap(({ volumeMounts = [] }: { volumeMounts?: { name: string }[] }) => volumeMounts)
      .filter((mount) => !volumes.has(mount.name) && !claims.includes(mount.name))
      .map((mount) => `${name} has no volume ${mount.name}`);
  });
  const scaled = resources
    .filter(({ kind }) => kind === 'HorizontalPodAutoscaler')
    .filter(({ metadata }) => !pods.some(([name]) => name === `Deployment ${metadata.name}`));
  return [
    ...selectors.filter(([, selector]) => !hasPod(selector)).map(([name]) => `${name} selects no pod`),
    ...mounts,
    ...scaled.map(({ metadata }) => `the autoscaler ${metadata.name} scales nothing`),
  ];
}

describe('each permutation of values', { skip: withoutHelm, concurrency: 2 }, () => {
  for (const { name, chart, values, apis = [] } of permutations)
    test(`gives resources that Kubernetes knows: ${chart} with ${name}`, async () => {
      const resources = await renderMeanwhile(chart, { values, apis });
      assert.ok(resources.length > 8);
      assert.deepEqual(resources.flatMap(faultsOf), []);
      assert.deepEqual(danglingIn(resources), []);
      const ids = resources.map(
        ({ kind, metadata }) => `${kind} ${(metadata as { namespace?: string }).namespace} ${metadata.name}`,
      );
      assert.deepEqual(ids.length, new Set(ids).size);
    });
});

describe('names of digits', { skip: withoutHelm }, () => {
  const name = '0123';
  const everySecret = { existingSecret: name, cidrs: ['10.0.0.0/8'] };
  const namespaces = { operatorNamespace: name, monitoringNamespace: name };
  const pods = { priorityClassName: name, serviceAccount: { create: true, name } };
  const values: [string, object][] = [
    ['millrace', { defaults: pods, kafka: { name, storageClass: name }, networkPolicy: namespaces }],
    [
      'millrace',
      {
        postgresql: { mode: 'external', external: everySecret },
        kafka: {
          mode: 'external',
          external: {
            bootstrapServers: 'b:9092',
            sasl: { existingSecret: name },
            tls: { caSecret: name },
            namespace: name,
          },
        },
        mail: { smtpUrlSecret: name },
        test: { tokenSecret: name },
      },
    ],
    ['millrace', { postgresql: { storageClass: name, bundled: { existingSecret: name, backup: { enabled: true } } } }],
    ['millrace-operator', { ...pods, networkPolicy: { monitoringNamespace: name } }],
    ['millrace-operator', { watchNamespaces: [name] }],
  ];
  for (const [chart, some] of values)
    test(`stay text: ${chart} ${JSON.stringify(some)}`, () => {
      const called = { release: name, namespace: name };
      const resources = render(chart, { values: some, called, apis: ['monitoring.coreos.com/v1'] });
      assert.deepEqual(resources.flatMap(faultsOf), []);
      const numbers = /"[\w./-]*(name|Name|namespace|class|Class|instance|cluster)":\d/;
      assert.doesNotMatch(JSON.stringify(resources), numbers);
    });
});

describe('helm lint --strict', { skip: withoutHelm, concurrency: 2 }, () => {
  // it renders a chart several times; what it says of a chart hardly depends on the values
  const some = ['the defaults', 'more in every pod', 'everything else'];
  for (const { name, chart, values } of permutations.filter((one) => some.includes(one.name)))
    test(`finds no fault: ${chart} with ${name}`, async () => {
      assert.match(await lint(chart, values), /1 chart\(s\) linted, 0 chart\(s\) failed/);
    });
});

for (const chart of ['millrace', 'millrace-operator'])
  test(`every value of the chart ${chart} is in a permutation`, () => {
    const given = permutations.filter((one) => one.chart === chart).map(({ values }) => values as Values);
    // the values of a service are those of `defaults`
    const ofServices = given.flatMap((values) => Object.values((values['services'] ?? {}) as Values));
    const isGiven = ([first = '', ...rest]: string[]) =>
      given.some((values) => has(values, [first, ...rest])) ||
      (first === 'defaults' && ofServices.some((values) => has(values, rest)));
    const text = readFileSync(join(chartFolder(chart), 'values.yaml'), 'utf8');
    const paths = readValues(text).flatMap(leavesOf);
    assert.ok(paths.length > 30);
    assert.deepEqual(
      paths.filter((path) => !isGiven(path)).map((path) => path.join('.')),
      [],
    );
  });

type Values = Record<string, unknown>;
const has = (values: unknown, [first, ...rest]: string[]): boolean =>
  first === undefined ||
  (typeof values === 'object' && values !== null && first in values && has((values as Values)[first], rest));
const leavesOf = ({ path, children }: Value): string[][] => children?.flatMap(leavesOf) ?? [path];

test('a check of types finds unknown fields and other types', () => {
  const resource = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'a', labels: { b: 1 } },
    spec: { replicas: '2', template: { spec: { containers: [{ name: 'c', image: 'i', enviroment: [] }] } } },
  };
  assert.deepEqual(typeFaults(resource as unknown as Resource), [
    'Deployment a.metadata.labels.b is 1, not string',
    'Deployment a.spec.replicas is "2", not number',
    'Deployment a.spec.template.spec.containers[0] has no enviroment',
  ]);
});
