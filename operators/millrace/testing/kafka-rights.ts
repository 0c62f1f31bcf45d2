import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import pino from 'pino';

import type { EventServiceSpec } from '#platform/declaration-schema';
import { createKafka, createKafkaManager } from '#platform/kafka';
import type { Acl, Kafka, KafkaConnection } from '#platform/kafka';
import type { KubeObject } from '#runtime/objects.ts';
import { ManualClock } from '#runtime/testing/manual-clock.ts';
import { eventually } from '#test/eventually.ts';
import { eventServices, secrets } from '../api/kinds.ts';
import { dataOf } from '../database-pools.ts';
import { eventServiceWorld } from './event-services.ts';
import type { EventServiceWorld } from './event-services.ts';
import { namespace } from './world.ts';

type Sasl = Required<KafkaConnection>['sasl'];
const log = pino({ enabled: false });

/**
 * Declares the tests of rights in an external Kafka that knows users and ACLs.
 * @param broker its connection over TLS, as a user who may do everything
 * @param users others, who may do nothing yet
 */
export function testKafkaRights(
  broker: () => Required<Omit<KafkaConnection, 'compression'>>,
  users: [Sasl, Sasl],
): void {
  const [ordersUser, otherUser] = users;

  describe('the operator, in a Kafka with users', () => {
    const clock = new ManualClock();
    let world: EventServiceWorld;

    const secret = (name: string, values: Record<string, string>) => {
      const found = world.server.find(secrets, namespace, name);
      if (found) world.server.patch(secrets, namespace, name, { data: dataOf(values) });
      else {
        const object = { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name }, data: dataOf(values) };
        world.server.create(secrets, object as KubeObject);
      }
    };
    const external = (more: object = {}) => ({
      bootstrapServers: broker().brokers.join(','),
      sasl: { mechanism: 'SCRAM-SHA-256' as const, secretRef: { name: 'admin' } },
      tls: { caSecretRef: { name: 'authority' } },
      ...more,
    });
    const declare = (name: string, topic: string, more: object = {}, spec: Partial<EventServiceSpec> = {}) =>
      world.declare(name, {
        kafka: { external: external(more) },
        produces: [{ topic, partitions: 1, retention: -1 }],
        ...spec,
      });
    const until = (name: string, type: string, reason: string) =>
      eventually(
        async () => {
          await clock.advance(1_000);
          const found = world.condition(name, type);
          return found?.reason === reason && found;
        },
        () => `${type} of ${name} is ${reason}: ${JSON.stringify(world.service(name)?.status)}`,
      );
    const inWorld = async (test: () => Promise<void>) => {
      world = await eventServiceWorld(() => ({}), clock);
      secret('admin', broker().sasl);
      secret('authority', { 'ca.crt': broker().tls.ca! });
      try {
        await test();
      } finally {
        await world.stop();
      }
    };
    const as = async <T>(sasl: Sasl, work: (kafka: Kafka) => Promise<T>): Promise<T> => {
      const kafka = createKafka({ ...broker(), sasl, clientId: 'tests', log });
      try {
        return await work(kafka);
      } finally {
        await kafka.close();
      }
    };
    const send = (topic: string) => async (kafka: Kafka) => {
      const producer = await kafka.producer();
      await producer.send(topic, 0, [{ key: 'k', value: Buffer.from('v'), headers: {} }]);
    };
    /** The messages that a group reads from a topic. */
    const read = (topic: string, group: string) => async (kafka: Kafka) => {
      const messages: string[] = [];
      const onBatch = (batch: { messages: { value: Buffer | null }[] }) => {
        messages.push(...batch.messages.map(({ value }) => String(value)));
        return Promise.resolve(true);
      };
      kafka.consumer({ group, topics: [topic], from: 'earliest', onBatch }).start();
      await eventually(() => messages.length > 0, `${group} reads ${topic}`);
    };
    /** Gives a user one right in place of all that it has. */
    const replaceRights = async (user: string, resource: Acl['resource']) => {
      const manager = createKafkaManager({ ...broker(), clientId: 'tests', log });
      await manager.keepAcls(user, [{ resource, operation: 'Describe' }]);
      await manager.close();
    };
    const refused = (error: unknown) => /not authorized|AUTHORIZATION_FAILED/i.test(String(error));

    it('gives the user of a service what it declares, and nothing else', () =>
      inWorld(async () => {
        secret('orders-kafka', ordersUser);
        secret('users-kafka', otherUser);
        const consumes = (group: string, topic: string) => [{ group, topics: [topic], database: 'd' }];
        declare('orders', 'order-events', { acls: true }, { consumes: consumes('orders', 'order-events') });
        declare('users', 'user-events', { acls: true });
        for (const name of ['orders', 'users']) {
          await until(name, 'TopicsReady', 'Created');
          await until(name, 'UserReady', 'Created');
        }
        await as(ordersUser, send('order-events'));
        await as(ordersUser, read('order-events', 'orders'));
        await as(otherUser, send('user-events'));
        await assert.rejects(as(otherUser, send('order-events')), refused);
        await assert.rejects(
          as(ordersUser, (kafka) => kafka.admin.watermarks('user-events')),
          refused,
        );

        // what somebody else gives is taken, and what is taken is given again
        await replaceRights(ordersUser.username, { type: 'topic', name: 'user-events', patternType: 'literal' });
        await as(ordersUser, (kafka) => kafka.admin.watermarks('user-events'));
        await eventually(async () => {
          await clock.advance(10_000);
          return as(ordersUser, (kafka) => kafka.admin.watermarks('user-events')).then(() => false, refused);
        }, 'it may not see the topic any more');
        await as(ordersUser, send('order-events'));

        // what is not declared any more is taken
        world.server.patch(eventServices, namespace, 'orders', {
          spec: { produces: [{ topic: 'other-events', partitions: 1, retention: -1 }] },
        });
        await eventually(async () => {
          await clock.advance(1_000);
          return as(ordersUser, send('order-events')).then(() => false, refused);
        }, 'it may not send any more');
        assert.equal(
          await as(ordersUser, (kafka) => kafka.admin.watermarks('order-events')).then(({ size }) => size),
          1,
        );

        world.server.delete(eventServices, namespace, 'orders');
        await eventually(() => !world.service('orders'), 'the service is gone');
        await assert.rejects(
          as(ordersUser, (kafka) => kafka.admin.watermarks('order-events')),
          refused,
        );
      }));

    const maySend = (sasl: Sasl, topic: string) =>
      as(sasl, send(topic)).then(
        () => true,
        () => false,
      );
    const maySee = (sasl: Sasl, topic: string) =>
      as(sasl, (kafka) => kafka.admin.watermarks(topic)).then(
        () => true,
        (error: unknown) => {
          if (refused(error)) return false;
          throw error;
        },
      );
    /** Waits until the status names users who were given rights. */
    const untilUsersAre = (name: string, ...wanted: Sasl[]) =>
      eventually(
        async () => {
          await clock.advance(10_000);
          return (world.service(name)!.status?.kafkaUsers ?? []).join() === wanted.map((one) => one.username).join();
        },
        () => `the users of ${name}: ${JSON.stringify(world.service(name)?.status)}`,
      );
    const change = (name: string, spec: object) => world.server.patch(eventServices, namespace, name, { spec });
    const untilGone = async (name: string) => {
      world.server.delete(eventServices, namespace, name);
      await eventually(async () => {
        await clock.advance(1_000);
        return !world.service(name);
      }, `${name} is gone`);
    };

    it('takes no rights of a former user while the service is there, and all with it', () =>
      inWorld(async () => {
        secret('orders-kafka', ordersUser);
        declare('orders', 'taken', { acls: true });
        await untilUsersAre('orders', ordersUser);
        secret('orders-kafka', otherUser);
        await untilUsersAre('orders', ordersUser, otherUser);
        const haveRights = async () => {
          await clock.advance(300_000);
          assert.ok(await maySend(ordersUser, 'taken'), 'pods may connect as the former one');
          assert.ok(await maySend(otherUser, 'taken'), 'pods may connect as the other one');
        };
        await haveRights();

        change('orders', { kafka: { external: external({ acls: false }) } });
        await until('orders', 'UserReady', 'Shared');
        await haveRights();
        await untilUsersAre('orders', ordersUser, otherUser);
        assert.equal(world.service('orders')!.metadata.finalizers?.length, 1);

        world.server.delete(secrets, namespace, 'orders-kafka');
        await untilGone('orders');
        assert.deepEqual([await maySee(ordersUser, 'taken'), await maySee(otherUser, 'taken')], [false, false]);
        assert.ok(!(await world.events()).join().includes('LeftBehind'));
      }));

    it('takes those of the present user where its service uses Kafka no more', () =>
      inWorld(async () => {
        secret('orders-kafka', ordersUser);
        declare('orders', 'unused', { acls: true });
        await untilUsersAre('orders', ordersUser);
        secret('orders-kafka', otherUser);
        await untilUsersAre('orders', ordersUser, otherUser);
        change('orders', { produces: [] });
        await until('orders', 'UserReady', 'NoKafka');
        assert.deepEqual([await maySee(ordersUser, 'unused'), await maySee(otherUser, 'unused')], [true, false]);
        await untilGone('orders');
        assert.equal(await maySee(ordersUser, 'unused'), false);
      }));

    it('takes those of a user whose Secret is gone, and leaves those of one whom another service has', () =>
      inWorld(async () => {
        secret('orders-kafka', ordersUser);
        secret('users-kafka', otherUser);
        declare('orders', 'of-orders', { acls: true });
        declare('users', 'of-users', { acls: true });
        for (const [name, user] of [
          ['orders', ordersUser],
          ['users', otherUser],
        ] as const)
          await untilUsersAre(name, user);
        world.server.delete(secrets, namespace, 'users-kafka');
        await untilGone('users');
        assert.equal(await maySee(otherUser, 'of-users'), false, 'the status knows it');
        secret('users-kafka', ordersUser);
        declare('users', 'of-users', { acls: true });
        assert.equal((await until('users', 'UserReady', 'UserTaken')).status, 'False');
        assert.equal(world.service('users')!.status?.kafkaUsers, undefined, 'Kafka has given it nothing');
        await untilGone('users');
        assert.ok(await maySend(ordersUser, 'of-orders'));
      }));

    it('tells of a wrong password, of missing rights, and of a user of two', () =>
      inWorld(async () => {
        declare('orders', 'mine');
        await until('orders', 'Ready', 'Ready');
        assert.equal(world.condition('orders', 'UserReady')!.reason, 'Shared');

        secret('admin', { ...broker().sasl, password: 'guessed' });
        const login = await until('orders', 'Ready', 'KafkaLoginRefused');
        assert.match(
          login.message,
          new RegExp(`Kafka refuses the user ${broker().sasl.username}: .*authentication failed`, 'i'),
        );
        assert.doesNotMatch(login.message, /guessed/);
        assert.equal(world.condition('orders', 'Stalled')?.status, 'True');

        secret('admin', otherUser);
        const right = await until('orders', 'Ready', 'KafkaRightMissing');
        assert.match(
          right.message,
          new RegExp(
            `Kafka does not let the user ${otherUser.username} keep the topic mine .TOPIC_AUTHORIZATION_FAILED`,
          ),
        );
        secret('admin', broker().sasl);
        await until('orders', 'Ready', 'Ready');

        declare('users', 'theirs', { acls: true });
        assert.equal(
          (await until('users', 'UserReady', 'NoKafkaUser')).message,
          'the Secret users-kafka does not exist',
        );
        secret('users-kafka', broker().sasl);
        assert.match(
          (await until('users', 'UserReady', 'UserTaken')).message,
          /who is the operator's: give users a user/,
        );
        secret('users-kafka', ordersUser);
        await until('users', 'UserReady', 'Created');
        secret('alerts-kafka', ordersUser);
        declare('alerts', 'alerts', { acls: true });
        assert.match((await until('alerts', 'UserReady', 'UserTaken')).message, /who is that of users, too/);
      }));
  });
}
