/** What each client has taken of something that all share. No client can have more than its share. */
export class ClientShares {
  readonly #share: number;
  readonly #taken = new Map<string, number>();

  constructor(share: number) {
    this.#share = share;
  }

  /** Takes an amount for a client; returns false if it would have more than its share, and takes nothing. */
  take(client: string, amount: number): boolean {
    const taken = (this.#taken.get(client) ?? 0) + amount;
    if (taken > this.#share) return false;
    this.#taken.set(client, taken);
    return true;
  }

  /** Gives an amount back that was taken for a client. */
  give(client: string, amount: number): void {
    const left = (this.#taken.get(client) ?? 0) - amount;
    if (left > 0) this.#taken.set(client, left);
    else this.#taken.delete(client);
  }
}
