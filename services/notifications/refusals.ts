import type { Claim } from './deliveries.ts';

/** For this time after a mail was sent, mails that were refused before say nothing about the server, in milliseconds. */
const trustMs = 3_600_000;

/**
 * The mails that the server has refused since it last took one, but not for good. A refusal does not tell whose fault it is, a
 * full mailbox's or a full disk's; what becomes of the mails to others does. Times are those of `performance.now()`.
 */
export class Refusals {
  #sentAt = Number.NEGATIVE_INFINITY;
  #rounds = 0;
  /** when the first of them was refused */
  #refusedAt = 0;
  /** by recipient, a mail that speaks against the server; two are enough to know that it is not one mailbox */
  readonly #signs = new Map<string, string>();

  /** how many rounds with refusals there were since a mail was sent */
  get rounds(): number {
    return this.#rounds;
  }

  /** How long the server has refused mails since it took one, in milliseconds. */
  forMs(now: number): number {
    return this.#rounds === 0 ? 0 : now - this.#refusedAt;
  }

  /** the ids of the mails that speak against the server */
  get signs(): string[] {
    return [...this.#signs.values()];
  }

  /** Whether the server seems to refuse all mails: it has refused those to two recipients, and taken none since. */
  get isOfServer(): boolean {
    return this.#signs.size > 1;
  }

  /**
   * Notes what became of the mails of a round. Returns whether the refusals count as attempts: a mail was sent in the same round,
   * or since the refusals before. Otherwise the mails wait, as if the server could not be reached.
   */
  note(isSent: boolean, refused: readonly Pick<Claim, 'id' | 'email' | 'attempts'>[], now: number): boolean {
    if (isSent) {
      this.#sentAt = now;
      this.#rounds = 0;
      this.#signs.clear();
      return true;
    }
    if (refused.length === 0) return true;
    if (this.#rounds === 0) this.#refusedAt = now;
    const isFirst = this.#rounds++ === 0 && this.#sentAt > Number.NEGATIVE_INFINITY;
    // a mail with attempts was mostly refused while others were sent
    const isTrusted = now - this.#sentAt <= trustMs;
    for (const { id, email, attempts } of refused)
      if (this.#signs.size < 2 && (attempts === 0 || !isTrusted)) this.#signs.set(email!, id);
    return isFirst && !this.isOfServer;
  }

  /** Forgets the mails that wait no longer: another process has sent them, or their users are deleted. */
  keep(waiting: readonly string[]): void {
    for (const [recipient, id] of this.#signs) if (!waiting.includes(id)) this.#signs.delete(recipient);
  }
}
