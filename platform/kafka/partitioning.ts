const seed = 0x9747b28c | 0;
const m = 0x5bd1e995;

/** The signed 32-bit murmur2 hash of a range of bytes, as `org.apache.kafka.common.utils.Utils.murmur2` computes it. */
export function murmur2(data: Uint8Array, start = 0, end = data.length): number {
  let h = seed ^ (end - start);
  let i = start;
  for (; i + 4 <= end; i += 4) {
    let k = data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16) | (data[i + 3]! << 24);
    k = Math.imul(k, m);
    k ^= k >>> 24;
    h = Math.imul(h, m) ^ Math.imul(k, m);
  }
  const rest = end - i;
  if (rest === 3) h ^= data[i + 2]! << 16;
  if (rest >= 2) h ^= data[i + 1]! << 8;
  if (rest >= 1) h = Math.imul(h ^ data[i]!, m);
  h ^= h >>> 13;
  h = Math.imul(h, m);
  return h ^ (h >>> 15);
}

/**
 * The partition of a key, as Java clients choose it. kafkajs's partitioner gives the same results (a test compares them), but
 * it computes with BigInt and is 30 times slower.
 */
export function partitionOf(key: string, partitions: number): number {
  return partitionOfHash(murmur2(Buffer.from(key)), partitions);
}

/** The partition of a key, by its murmur2 hash. */
export function partitionOfHash(hash: number, partitions: number): number {
  return (hash & 0x7fffffff) % partitions;
}
