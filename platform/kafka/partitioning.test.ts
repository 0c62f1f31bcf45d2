import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import kafkajs from 'kafkajs';
import { murmur2, partitionOf } from './partitioning.ts';

test('murmur2 answers as org.apache.kafka.common.utils.UtilsTest says', () => {
  const vectors: [string, number][] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ];
  for (const [text, hash] of vectors) assert.equal(murmur2(Buffer.from(text)), hash, text);
});

test('a key goes where kafkajs, and so a Java client, sends it', () => {
  const partitioner = kafkajs.Partitioners.DefaultPartitioner();
  const key = fc.oneof(fc.nat().map(String), fc.string({ unit: 'binary' }));
  fc.assert(
    fc.property(key, fc.integer({ min: 1, max: 50 }), (text, partitions) => {
      const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({
        partitionId,
        leader: 1,
        partitionErrorCode: 0,
        replicas: [1],
        isr: [1],
      }));
      const message = { key: text, value: '' };
      assert.equal(partitionOf(text, partitions), partitioner({ topic: 't', partitionMetadata, message }));
    }),
  );
});
