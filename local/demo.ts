import { setTimeout as delay } from 'node:timers/promises';

import { basket, lifeOf, mistake, person, seededRandom, type DemoRequest } from './demo-plan.ts';

const REPORT_EVERY_MS = 30_000;
/** The most users; after that, the same users order again. */
const MOST_USERS = 300;
/** The most requests in flight; a slow platform loses the others, as a shop loses customers. */
const MOST_IN_FLIGHT = 64;
const MISTAKES = 0.04;
const ARRIVALS = 0.15;

interface Customer {
  userId: number;
  user: Record<string, string>;
}

/**
 * The traffic of a shop: people register, order, and make mistakes; orders change their status. The choices are the same
 * in each run, the times only roughly.
 */
export class Demo {
  readonly #gatewayUrl: string;
  readonly #rate: number;
  readonly #say: (level: 'info' | 'warn', line: string) => void;
  readonly #random = seededRandom(20_260_101);
  readonly #stopping = new AbortController();
  readonly #customers: Customer[] = [];
  readonly #run = Date.now().toString(36);
  #arrived = 0;
  #inFlight = 0;
  #counts = { users: 0, orders: 0, steps: 0, mistakes: 0, surprises: 0, skipped: 0 };

  /**
   * @param gatewayUrl the address of the gateway
   * @param rate orders per second
   */
  constructor(gatewayUrl: string, rate: number, say: (level: 'info' | 'warn', line: string) => void) {
    this.#gatewayUrl = gatewayUrl;
    this.#rate = rate;
    this.#say = say;
  }

  start(): void {
    this.#say('info', `demo: ${this.#rate} orders a second, a report every ${REPORT_EVERY_MS / 1000} s`);
    void this.#arrivals();
    void this.#reports();
  }

  stop(): void {
    this.#stopping.abort();
  }

  /** Orders come at random times, at the given rate on average. */
  async #arrivals(): Promise<void> {
    await this.#register();
    while (await this.#pause(-Math.log(1 - this.#random()) / this.#rate)) {
      const dice = this.#random();
      if (this.#inFlight >= MOST_IN_FLIGHT) this.#counts.skipped += 1;
      else if (dice < MISTAKES) void this.#blunder();
      else void this.#visit(dice < MISTAKES + ARRIVALS);
    }
  }

  async #reports(): Promise<void> {
    while (await this.#pause(REPORT_EVERY_MS / 1000)) {
      const { surprises, ...counts } = this.#counts;
      const line = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
      this.#say(surprises > 0 ? 'warn' : 'info', `demo: ${line.join(', ')}, ${surprises} unexpected answers`);
    }
  }

  async #visit(isNew: boolean): Promise<void> {
    const guest = isNew && this.#customers.length < MOST_USERS ? await this.#register() : undefined;
    const customer = guest ?? this.#customers[Math.floor(this.#random() * this.#customers.length)];
    if (customer === undefined) return void (await this.#register());
    const life = lifeOf(this.#random);
    const body = basket(this.#random, customer.userId);
    const order = await this.#send({ method: 'POST', path: '/api/orders', body, expected: 201 });
    if (order === undefined) return;
    this.#counts.orders += 1;
    for (const { status, after } of life) {
      if (!(await this.#pause(after))) return;
      const path = `/api/orders/${String(order['id'])}/status`;
      if ((await this.#send({ method: 'PUT', path, body: { status }, expected: 200 })) === undefined) return;
      this.#counts.steps += 1;
    }
  }

  async #register(): Promise<Customer | undefined> {
    this.#arrived += 1;
    const user = person(this.#random, `${this.#run}${this.#arrived}`);
    const created = await this.#send({ method: 'POST', path: '/api/users', body: user, expected: 201 });
    if (created === undefined) return undefined;
    this.#counts.users += 1;
    const customer = { userId: Number(created['id']), user };
    this.#customers.push(customer);
    return customer;
  }

  async #blunder(): Promise<void> {
    const [known] = this.#customers;
    if (known === undefined) return;
    if ((await this.#send(mistake(this.#random, known))) !== undefined) this.#counts.mistakes += 1;
  }

  /** @returns the body of the response if its status is the expected one */
  async #send({ method, path, body, expected }: DemoRequest): Promise<Record<string, unknown> | undefined> {
    this.#inFlight += 1;
    try {
      const response = await fetch(this.#gatewayUrl + path, {
        method,
        signal: AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(10_000)]),
        ...(body !== undefined && { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }),
      });
      const answer = (await response.json().catch(() => ({}))) as Record<string, unknown>;
      if (response.status === expected) return answer;
      this.#surprise(`${method} ${path} answered ${response.status} instead of ${expected}: ${JSON.stringify(answer)}`);
    } catch (error) {
      if (!this.#stopping.signal.aborted) this.#surprise(`${method} ${path}: ${String(error)}`);
    } finally {
      this.#inFlight -= 1;
    }
    return undefined;
  }

  /** Reports the first and each hundredth, so that a platform that is down does not fill the screen. */
  #surprise(line: string): void {
    this.#counts.surprises += 1;
    if (this.#counts.surprises % 100 === 1) this.#say('warn', `demo: ${line}`);
  }

  /** @returns false when the demo is over */
  async #pause(seconds: number): Promise<boolean> {
    return await delay(seconds * 1000, true, { signal: this.#stopping.signal, ref: false }).catch(() => false);
  }
}
