import { brokerSettings } from '#platform/declarations';

/**
 * The settings of a single Kafka node, broker and controller, for a small machine.
 * @param options.bind the address that the listeners bind; the advertised address is always 127.0.0.1
 */
export function kafkaSettings(options: {
  port: number;
  controllerPort: number;
  bind: string;
  logDirs: string;
}): Record<string, string> {
  const { port, controllerPort, bind, logDirs } = options;
  return {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    listeners: `PLAINTEXT://${bind}:${port},CONTROLLER://${bind}:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': logDirs,
    ...brokerSettings(),
    'num.partitions': '6',
    'default.replication.factor': '1',
    'offsets.topic.num.partitions': '3',
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.num.partitions': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'share.coordinator.state.topic.num.partitions': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    // After a crash, the broker can register again when its previous session has expired.
    'broker.session.timeout.ms': '5000',
    'broker.heartbeat.interval.ms': '1000',
    // A group starts with its present members: on one machine no others come.
    'group.initial.rebalance.delay.ms': '0',
    // The cleaner's default buffer of 128 MB would not fit into the heap.
    'log.cleaner.dedupe.buffer.size': String(8 << 20),
    'num.network.threads': '2',
    'num.io.threads': '4',
    'background.threads': '2',
  };
}
