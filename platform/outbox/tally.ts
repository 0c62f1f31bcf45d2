import type { OutboxRow } from './rows.ts';

/** Counts the messages of rows that are neither sent nor parked yet. A row of which none is expected has one. */
export class Tally {
  readonly #left = new Map<OutboxRow, number>();

  expect(row: OutboxRow, messages: number): void {
    this.#left.set(row, (this.#left.get(row) ?? 0) + messages);
  }

  /** Takes messages off. @param row the row, or one of its messages @returns whether these were the last ones of the row */
  settle(row: OutboxRow, messages = 1): boolean {
    const whole = row.whole ?? row;
    const expected = this.#left.get(whole);
    if (expected === undefined) return true;
    this.#left.set(whole, expected - messages);
    return expected === messages;
  }
}
