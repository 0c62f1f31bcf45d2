/** The tables for eight bytes at a time ("slicing by 8"), one behind the other. */
const table = new Int32Array(8 * 256);
for (let byte = 0; byte < 256; byte += 1) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  table[byte] = crc;
}
for (let i = 256; i < table.length; i += 1) table[i] = (table[i - 256]! >>> 8) ^ table[table[i - 256]! & 255]!;

/** The CRC-32C checksum (Castagnoli), unsigned, that Kafka keeps of each batch of records. */
export function crc32c(data: Uint8Array): number {
  let crc = -1;
  let i = 0;
  for (const end = data.length - 7; i < end; i += 8) {
    const low = crc ^ (data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16) | (data[i + 3]! << 24));
    crc =
      table[1792 + (low & 255)]! ^
      table[1536 + ((low >>> 8) & 255)]! ^
      table[1280 + ((low >>> 16) & 255)]! ^
      table[1024 + (low >>> 24)]! ^
      table[768 + data[i + 4]!]! ^
      table[512 + data[i + 5]!]! ^
      table[256 + data[i + 6]!]! ^
      table[data[i + 7]!]!;
  }
  for (; i < data.length; i += 1) crc = table[(crc ^ data[i]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
