import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  chartFolder,
  find,
  namesOf,
  notesIn,
  refusalIn,
  refusalOf,
  render,
  renderIn,
  withoutHelm,
  type Resource,
} from '../testing.ts';

const kafkaOf = (resources: Resource[]) => find(resources, 'Kafka', 'millrace')['spec'];
const poolOf = (resources: Resource[]) => find(resources, 'KafkaNodePool', 'dual-role')['spec'];
const declaredCopies = (resources: Resource[]) => find(resources, 'EventService', 'orders')['spec'].kafka.replicas;
const withKafka = (kafka: object) => render('millrace', { values: { kafka } });

/** The two resources of an earlier release, with a change. */
function running(change: (pool: Resource, kafka: Resource) => void): Resource[] {
  const all = render('millrace');
  const [pool, kafka] = [find(all, 'KafkaNodePool', 'dual-role'), find(all, 'Kafka', 'millrace')];
  change(pool, kafka);
  return [pool, kafka];
}

describe('the Kafka of the platform’s chart', { skip: withoutHelm }, () => {
  test('keeps as many copies as there are brokers, up to three, and acknowledges what one less have', () => {
    for (const [replicas, copies, inSync] of [
      [1, 1, 1],
      [3, 3, 2],
      [5, 3, 2],
    ] as const) {
      const resources = withKafka({ replicas });
      const { config } = kafkaOf(resources).kafka;
      assert.deepEqual(
        [config['default.replication.factor'], config['offsets.topic.replication.factor'], declaredCopies(resources)],
        [copies, copies, copies],
      );
      assert.deepEqual(
        [config['min.insync.replicas'], config['transaction.state.log.min.isr']],
        [inSync, inSync],
        `${replicas} brokers`,
      );
      assert.equal(poolOf(resources).replicas, replicas);
    }
  });

  test('decides itself how many copies there are if the chart does not create it', () => {
    assert.deepEqual(find(withKafka({ create: false }), 'EventService', 'orders')['spec'].kafka, {
      cluster: 'millrace',
    });
  });

  test('spreads several brokers over nodes and zones, and replicas over the zones of a label', () => {
    const { template } = poolOf(withKafka({ replicas: 3 }));
    const constraints = template.pod.topologySpreadConstraints as Resource[];
    assert.deepEqual(
      constraints.map((constraint) => constraint['topologyKey']),
      ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'],
    );
    for (const constraint of constraints)
      assert.deepEqual(constraint['labelSelector'].matchLabels, {
        'strimzi.io/cluster': 'millrace',
        'strimzi.io/name': 'millrace-kafka',
      });
    assert.equal(poolOf(withKafka({})).template, undefined);
    assert.equal(kafkaOf(withKafka({ replicas: 3 })).kafka.rack, undefined);
    const topologyKey = 'topology.kubernetes.io/zone';
    assert.deepEqual(kafkaOf(withKafka({ rackTopologyKey: topologyKey })).kafka.rack, { topologyKey });
  });

  test('gives Strimzi’s operators for topics and users the memory and the time that they need', () => {
    const { topicOperator, userOperator } = kafkaOf(withKafka({})).entityOperator;
    const resources = { requests: { cpu: '100m', memory: '192Mi' }, limits: { memory: '384Mi' } };
    const livenessProbe = { initialDelaySeconds: 60, failureThreshold: 6 };
    assert.deepEqual(userOperator, { resources, livenessProbe });
    assert.deepEqual(topicOperator, {
      resources,
      livenessProbe,
      startupProbe: { periodSeconds: 10, failureThreshold: 60 },
    });
  });

  test('takes any field of Strimzi’s resources', () => {
    const spec = {
      kafka: { config: { 'log.retention.bytes': 10_000_000_000 } },
      entityOperator: { userOperator: null },
    };
    const resources = withKafka({ spec, nodePoolSpec: { template: { pod: { priorityClassName: 'high' } } } });
    const { kafka, entityOperator } = kafkaOf(resources);
    assert.equal(kafka.config['log.retention.bytes'], 10_000_000_000);
    assert.equal(kafka.config['auto.create.topics.enable'], false);
    assert.deepEqual(Object.keys(entityOperator), ['topicOperator']);
    assert.deepEqual(poolOf(resources).template.pod, { priorityClassName: 'high' });
  });

  test('refuses another number of brokers, and says what to do', async () => {
    const one = running(() => {});
    const message = await refusalIn(one, 'millrace', { kafka: { replicas: 3 } });
    assert.match(message!, /kafka\.replicas: this Kafka was made with 1, and cannot change to 3: its topics keep/);
    assert.match(
      message!,
      /Set kafka\.replicas to 1\. A platform with another number is a new one, in another namespace/,
    );
    assert.equal(await refusalIn(one, 'millrace', {}), undefined);
    assert.equal(await refusalIn([], 'millrace', { kafka: { replicas: 3 } }), undefined);
    assert.equal(await refusalIn(one, 'millrace', { kafka: { create: false, replicas: 3 } }), undefined);
  });
});

describe('an even number of brokers', { skip: withoutHelm }, () => {
  test('is refused: one more broker bears one more loss', () => {
    for (const replicas of [2, 4])
      assert.match(
        refusalOf('millrace', { kafka: { replicas } }),
        new RegExp(
          `kafka\\.replicas: ${replicas} is even.*more than half must run.*Set kafka\\.replicas to an odd number, such as ${replicas + 1}`,
        ),
      );
  });

  test('stays where a Kafka has it, which cannot change', async () => {
    const two = running((pool) => (pool['spec'].replicas = 2));
    const resources = await renderIn(two, chartFolder('millrace'), { values: { kafka: { replicas: 2 } } });
    const { config } = kafkaOf(resources).kafka;
    assert.deepEqual([config['default.replication.factor'], config['min.insync.replicas']], [2, 1]);
    assert.match(
      (await refusalIn(two, 'millrace', { kafka: { replicas: 3 } }))!,
      /was made with 2, and cannot change to 3/,
    );
  });

  test('is nobody’s business where the chart creates no Kafka', () => {
    assert.deepEqual(namesOf(withKafka({ create: false, replicas: 2 }), 'KafkaNodePool'), []);
  });
});

describe('the Kafka of services that are there', { skip: withoutHelm }, () => {
  const servicesOf = (values: object) => render('millrace', { values }).filter(({ kind }) => kind === 'EventService');
  const external = {
    kafka: {
      mode: 'external',
      external: { bootstrapServers: 'b:9096', sasl: { existingSecret: 'msk' }, cidrs: ['10.0.0.0/8'] },
    },
  };
  const shared = { kafka: { create: false, name: 'shared' } };

  test('stays, before Helm rolls pods to one without their topics', async () => {
    for (const [before, after, message] of [
      [
        {},
        external,
        'kafka.mode: the topics of the service analytics are in the Kafka millrace of Strimzi, and cannot move to an external Kafka. Set kafka.mode to strimzi and kafka.name to millrace.',
      ],
      [
        external,
        {},
        'kafka.mode: the topics of the service analytics are in an external Kafka, and cannot move to the Kafka millrace of Strimzi. Set kafka.mode to external.',
      ],
      [
        {},
        { kafka: { name: 'other' } },
        'kafka.name: the topics of the service analytics are in the Kafka millrace of Strimzi, and cannot move to the Kafka other of Strimzi. Set kafka.mode to strimzi and kafka.name to millrace.',
      ],
      [
        shared,
        { kafka: { create: false } },
        'are in the Kafka shared of Strimzi, and cannot move to the Kafka millrace',
      ],
    ] as const) {
      const refusal = (await refusalIn(servicesOf(before), 'millrace', after)) ?? '';
      assert.ok(refusal.includes(message), refusal);
      assert.match(refusal, /A platform with another Kafka is a new one, in another namespace/);
    }
  });

  test('is the same with other brokers, other users, and by whomever it is created', async () => {
    const { kafka } = external;
    const moved = { kafka: { ...kafka, external: { ...kafka.external, bootstrapServers: 'c:9096', acls: true } } };
    for (const [before, after] of [
      [external, moved],
      [{}, { kafka: { create: false } }],
      [shared, shared],
    ] as const)
      assert.equal(await refusalIn(servicesOf(before), 'millrace', after), undefined);
  });
});

describe('an install that takes over the Kafka of an earlier release', { skip: withoutHelm }, () => {
  test('says what it does not change, and how to change it', async () => {
    const kept = running((pool, kafka) => {
      pool['spec'].resources.limits.memory = '2Gi';
      kafka['spec'].kafka.config['min.insync.replicas'] = 2;
      kafka['spec'].kafka.quotas = { type: 'kafka' }; // somebody else's
    });
    const text = await notesIn(kept, { action: 'install' });
    assert.match(text, /An install takes it over, and changes nothing of it:\n/);
    assert.match(text, /^ {2}KafkaNodePool\.resources\.limits\.memory is "2Gi", not "1Gi"$/m);
    assert.match(text, /^ {2}Kafka\.kafka\.config\.min\.insync\.replicas is 2, not 1$/m);
    assert.match(
      text,
      /helm template demo CHART --namespace shop .* --show-only templates\/kafka\.yaml \|\n {4}kubectl/,
    );
    assert.ok(!text.includes('quotas'));
  });

  test('says nothing where there is nothing to say', async () => {
    const same = running(() => {});
    const changed = running((pool) => (pool['spec'].resources.limits.memory = '2Gi'));
    for (const text of [
      await notesIn(same, { action: 'install' }),
      await notesIn([], { action: 'install' }),
      await notesIn(changed, { action: 'upgrade' }), // Helm changes it
    ])
      assert.ok(!text.includes('WARNING: the Kafka'));
  });
});
