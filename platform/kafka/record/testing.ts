import { RecordWriter, writeBatch, writeRecord } from './encoder.ts';
import { crc32c } from './crc32c.ts';

/** A batch as any producer may write it. */
export interface BatchDraft {
  base?: bigint;
  values?: readonly string[];
  /** default: those of the values, compressed */
  payload?: Buffer;
  count?: number;
  /** default: one less than the number of values */
  lastOffsetDelta?: number;
  attributes?: number;
  magic?: number;
}

/** Records with these values, whose offsets follow each other. */
export function recordsOf(values: readonly string[], firstDelta = 0): Buffer {
  const writer = new RecordWriter();
  for (const [i, value] of values.entries())
    writeRecord(writer, {
      offsetDelta: firstDelta + i,
      timestampDelta: i,
      key: `key ${i}`,
      value: Buffer.from(value),
      headers: { name: `header ${i}` },
    });
  return Buffer.from(writer.bytes);
}

/** The bytes of a batch, whose checksum is right. */
export function batchOf({ base = 0n, values = [], payload = recordsOf(values), ...draft }: BatchDraft): Buffer {
  const { count = values.length, attributes = 0, lastOffsetDelta = count - 1, magic = 2 } = draft;
  const writer = new RecordWriter();
  writeBatch(writer, { count, firstTimestamp: 1_000, maxTimestamp: 2_000, attributes }, () => writer.copy(payload));
  const batch = Buffer.from(writer.bytes);
  batch.writeBigInt64BE(base, 0);
  batch.writeInt8(magic, 16);
  batch.writeInt32BE(lastOffsetDelta, 23);
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

/** A message in the formats from before Kafka 0.11. */
export function oldMessage(offset: bigint, magic: 0 | 1, value: string): Buffer {
  const head = Buffer.alloc(magic === 0 ? 26 : 34);
  head.writeBigInt64BE(offset, 0);
  head.writeInt32BE(head.length - 12 + value.length, 8);
  head.writeInt8(magic, 16);
  head.writeInt32BE(-1, head.length - 8); // no key
  head.writeInt32BE(value.length, head.length - 4);
  return Buffer.concat([head, Buffer.from(value)]);
}
