import type { Mutant } from '../mutant.ts';

export const kafka: readonly Mutant[] = [
  {
    name: 'acknowledgement-not-checked',
    breaks: 'A send of several partitions passes for acknowledged though kafkajs never sent one of them',
    file: 'platform/kafka/kafkajs/producer.ts',
    from: 'const done = acknowledgementError(acknowledged, sending.topic, sending.partition) === undefined;',
    to: 'const done = acknowledged.length > 0;',
    testFile: 'platform/kafka/kafkajs/producer.test.ts',
    test: 'shares a request among partitions and sends one that is not acknowledged again, alone',
  },
  {
    name: 'concurrent-sends-to-a-partition',
    breaks:
      'Two sends to a partition are under way at a time, so that a repetition of the first comes after the second',
    file: 'platform/kafka/kafkajs/producer.ts',
    from: 'const before = this.#lastSends.get(name) ?? Promise.resolve();',
    to: 'const before = Promise.resolve();',
    testFile: 'platform/kafka/kafkajs/producer.test.ts',
    test: 'sends to a partition only when the send before has ended',
  },
  {
    name: 'idempotent-producer',
    breaks:
      'The client numbers what it sends, and the broker takes a new message for a repetition after attempts have failed',
    file: 'platform/kafka/kafkajs/kafkajs.ts',
    from: 'idempotent: false,',
    to: 'idempotent: true,',
    testFile: 'platform/kafka/kafka.test.ts',
    test: 'sends without the numbers of an idempotent producer',
  },
  {
    name: 'missing-topic-given-to-kafkajs',
    breaks: 'The client gets a topic that does not exist, and from then on fails for every topic',
    file: 'platform/kafka/kafkajs/producer.ts',
    from: 'before.then(() => this.#untilKnown(sending)).then(() => this.#join(sending));',
    to: 'before.then(() => this.#join(sending));',
    testFile: 'platform/kafka/kafkajs/producer.test.ts',
    test: 'keeps a topic from kafkajs until it exists',
  },
  {
    name: 'aborted-by-the-key-alone',
    breaks: 'A message whose key is four zero bytes ends an aborted transaction, so that aborted messages are read',
    file: 'platform/kafka/record/aborted.ts',
    from: 'if (message.isControlRecord) {\n      if (message.key === abortMarker) aborted.delete(producerId);',
    to: 'if (message.key === abortMarker) aborted.delete(producerId);\n    if (message.isControlRecord) {',
    testFile: 'platform/kafka/record/aborted.test.ts',
    test: 'leaves out the records of aborted transactions, and no others, from wherever it begins',
  },
  {
    name: 'codec-without-a-bound',
    breaks: 'A small compressed batch of somebody else fills the memory',
    file: 'platform/kafka/record/codecs.ts',
    from: 'const maxBytes = 128 * 1024 * 1024;',
    to: 'const maxBytes = 1024 * 1024 * 1024;',
    testFile: 'platform/kafka/record/codecs.test.ts',
    test: 'does not decompress a small batch into more memory than a batch may have',
  },
];
