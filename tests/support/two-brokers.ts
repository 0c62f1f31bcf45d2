import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { KafkaServer } from '#local/kafka.ts';
import { createKafka } from '#platform/kafka';
import { createLogger } from '#platform/telemetry';
import { untilPasses } from '#test/eventually.ts';
import { startOwnBroker } from '#test/own-broker.ts';
import { freePort } from '#test/ports.ts';

/** A Kafka of two brokers, without replicas. The first one is the controller and has the offsets of all groups. */
export interface TwoBrokers {
  /** the address of the first one */
  brokers: string[];
  /** Kills the second one: its partitions have no leader then. */
  killSecond(): Promise<void>;
  startSecond(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts both brokers. */
export async function startTwoBrokers(): Promise<TwoBrokers> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-brokers-'));
  chmodSync(folder, 0o700);
  const [firstFolder, secondFolder] = ['first', 'second'].map((name) => join(folder, name)) as [string, string];
  const running = new Set<KafkaServer>();
  const controllerPort = await freePort();
  const start = async (of: string, port: number, settings: Record<string, string>): Promise<KafkaServer> => {
    const server = await startOwnBroker({ folder: of, port, controllerPort, settings });
    running.add(server);
    return server;
  };
  const stop = async () => {
    await Promise.all([...running].map((server) => server.stop()));
    rmSync(folder, { recursive: true });
  };
  try {
    mkdirSync(firstFolder);
    const [port, secondPort] = [await freePort(), await freePort()];
    await start(firstFolder, port, {});
    const brokers = [`127.0.0.1:${port}`];
    await createOffsets(brokers);

    const meta = join('kafka', 'meta.properties');
    mkdirSync(join(secondFolder, 'kafka'), { recursive: true });
    const cluster = /^cluster\.id=.*$/m.exec(readFileSync(join(firstFolder, meta), 'utf8'))![0];
    writeFileSync(join(secondFolder, meta), `version=1\nnode.id=2\n${cluster}\n`);
    let second: KafkaServer;
    const startSecond = async () => {
      second = await start(secondFolder, secondPort, {
        'process.roles': 'broker',
        'node.id': '2',
        listeners: `PLAINTEXT://127.0.0.1:${secondPort}`,
      });
    };
    await startSecond();
    return {
      brokers,
      startSecond,
      killSecond: async () => {
        second.kill();
        await second.stop();
        running.delete(second);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Kafka creates its topic of offsets when it is first asked for those of a group. */
async function createOffsets(brokers: string[]): Promise<void> {
  const kafka = createKafka({ brokers, clientId: 'tests', log: createLogger('tests', 'silent') });
  try {
    await kafka.admin.ensureTopics([{ name: 'first', partitions: 1, retentionMs: -1 }]);
    await untilPasses(() => kafka.admin.committed('first', ['first']));
  } finally {
    await kafka.close();
  }
}
