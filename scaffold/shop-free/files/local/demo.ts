import { setTimeout as delay } from 'node:timers/promises';

/** Traffic: items are created at a steady rate. */
export class Demo {
  readonly #gatewayUrl: string;
  readonly #rate: number;
  readonly #say: (level: 'info' | 'warn', line: string) => void;
  readonly #stopping = new AbortController();

  /**
   * @param gatewayUrl the address of the gateway
   * @param rate items per second
   */
  constructor(gatewayUrl: string, rate: number, say: (level: 'info' | 'warn', line: string) => void) {
    this.#gatewayUrl = gatewayUrl;
    this.#rate = rate;
    this.#say = say;
  }

  start(): void {
    this.#say('info', `demo: ${this.#rate} items a second`);
    void this.#run();
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    for (let count = 1; !signal.aborted; count += 1) {
      void this.#create(`Item ${count}`);
      await delay(1000 / this.#rate, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  async #create(name: string): Promise<void> {
    try {
      const response = await fetch(`${this.#gatewayUrl}/api/items`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ name }),
        signal: AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(10_000)]),
      });
      await response.arrayBuffer();
      if (response.status !== 201) this.#say('warn', `demo: POST /api/items answered ${response.status}`);
    } catch (error) {
      if (!this.#stopping.signal.aborted) this.#say('warn', `demo: POST /api/items: ${String(error)}`);
    }
  }
}
