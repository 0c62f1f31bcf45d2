import { decodeBatches } from '../record/decoder.ts';
import type { LogMessage } from '../record/decoder.ts';

// kafkajs makes a decoder, a buffer for each header and several numbers as text for each record; ours makes one object.

interface Decoder {
  buffer: Buffer;
  offset: number;
  readInt32(): number;
  canReadBytes(length: number): boolean;
}

/** Decodes the messages of a partition in the response to a fetch; it replaces kafkajs's function of this name. */
export async function decodeMessages(decoder: Decoder): Promise<LogMessage[]> {
  const size = decoder.readInt32();
  if (size <= 0 || !decoder.canReadBytes(size)) return [];
  const start = decoder.offset;
  decoder.offset += size;
  return decodeBatches(decoder.buffer, start, start + size);
}
