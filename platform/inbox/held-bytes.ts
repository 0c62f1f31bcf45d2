import type { Item } from './item.ts';

/** How many bytes items keep from being freed: a message holds those of its whole fetch, or of its decompressed batch. */
export class HeldBytes {
  readonly #buffers = new Set<ArrayBufferLike>();
  #sum = 0;

  get sum(): number {
    return this.#sum;
  }

  add({ message }: Item): void {
    const buffer = (message.value ?? message.raw?.().key)?.buffer; // a tombstone has no value
    if (!buffer || this.#buffers.has(buffer)) return;
    this.#buffers.add(buffer);
    this.#sum += buffer.byteLength;
  }
}
