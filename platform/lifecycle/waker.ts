/** Pauses that another caller can end. */
export class Waker {
  #woken = false;
  #closed = false;
  #pause: { wakeable: boolean; end: () => void } | undefined;

  /** Ends the current wakeable pause, or else the next one. */
  wake(): void {
    this.#woken = true;
    if (this.#pause?.wakeable) this.#pause.end();
  }

  /** Ends the current pause and every later one. */
  close(): void {
    this.#closed = true;
    this.#pause?.end();
  }

  /** Resolves after the time, on `close`, or, if the pause is wakeable, on `wake`. */
  async wait(ms: number, wakeable: boolean): Promise<void> {
    if (ms > 0 && !this.#closed && !(wakeable && this.#woken)) {
      await new Promise<void>((end) => {
        const timer = setTimeout(end, ms);
        this.#pause = { wakeable, end: () => (clearTimeout(timer), end()) };
      });
      this.#pause = undefined;
    }
    if (wakeable) this.#woken = false;
  }
}
