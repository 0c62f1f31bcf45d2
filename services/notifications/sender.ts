import { messageOf } from '#platform/errors';
import { backoffMs, Waker } from '#platform/lifecycle';
import type { BackoffOptions } from '#platform/lifecycle';
import { isUnavailable } from '#platform/postgres';
import type { Logger } from '#platform/telemetry';
import { attempt, countOutcomes, resultWithoutSending } from './attempt.ts';
import type { Sender } from './attempt.ts';
import type { Claim, Deliveries, DeliveryResult } from './deliveries.ts';
import { NotificationsError } from './errors.ts';
import { smtpUp } from './metrics.ts';
import { SmtpUnavailable } from './smtp.ts';
import type { SmtpClient } from './smtp.ts';

export interface MailSenderOptions {
  deliveries: Deliveries;
  smtp: SmtpClient;
  from: Sender;
  log: Logger;
  /** concurrent mails, each over its own connection; default 6 */
  concurrency?: number;
  /** the most claims of a batch; default 200 */
  maxBatch?: number;
  /** the pause between polls without a wake-up, in milliseconds; default 500 */
  pollMs?: number;
  /** pauses while the SMTP server cannot be used; default from 1 s to 60 s */
  backoff?: BackoffOptions;
}

/** The time in which a batch starts mails, so that it writes results soon even if the server is slow. */
const batchMs = 2_000;
/** The lease of a claim, far longer than a batch may take. */
const leaseMs = 300_000;
/** The pauses while the database cannot be used: mails go out soon after its return. */
const databaseBackoff: BackoffOptions = { firstMs: 500, maxMs: 5_000 };
/** After this time without a mail, health says so, in milliseconds. */
const unhealthyMs = 15_000;

/**
 * Sends PENDING notifications: claims a batch, sends it with bounded concurrency, and writes the results in one statement.
 * It sends at least once: if a process dies between the server's answer and the write, its claim expires, and another
 * sends the mail again with the same Message-ID. While the database cannot be used, the sender keeps the results, and writes
 * them before it claims more. Attempts do not count while the server cannot be used.
 */
export class MailSender {
  readonly #options: Required<MailSenderOptions>;
  #running: Promise<void> | undefined;
  #stopping = false;
  readonly #waker = new Waker();
  #batch: number;
  #failures = 0;
  /** why the last round failed, or the ones before it that it does not prove wrong */
  #failure: string | undefined;
  /** when a mail was sent, or nothing was due, by the clock of `performance.now()` */
  #progressAt = performance.now();
  /** results that are not written yet */
  #results: DeliveryResult[] = [];

  constructor(options: MailSenderOptions) {
    this.#options = {
      concurrency: 6,
      maxBatch: 200,
      pollMs: 500,
      backoff: { firstMs: 1_000, maxMs: 60_000, jitter: 0.25 },
      ...options,
    };
    this.#batch = this.#options.maxBatch;
  }

  start(): void {
    this.#progressAt = performance.now();
    this.#running ??= this.#run();
  }

  /** @throws while mails wait that cannot be sent */
  check(): void {
    const forMs = performance.now() - this.#progressAt;
    if (!this.#running || forMs < unhealthyMs) return;
    throw new NotificationsError(
      'ERR_MAIL_NOT_SENT',
      `no mail could be sent for ${Math.round(forMs / 1_000)} s: ${this.#failure ?? 'a server does not answer'}`,
    );
  }

  /** Wakes the sender: a notification may be due. */
  wake(): void {
    this.#waker.wake();
  }

  /** Finishes the current mails and releases the other claims. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#waker.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { deliveries, log, pollMs, backoff } = this.#options;
    let isFirst = true;
    while (!this.#stopping) {
      let pauses = backoff;
      try {
        if (isFirst) await deliveries.releaseEnded();
        isFirst = false;
        const busy = await this.#round();
        if (this.#failures === 0) this.#failure = undefined;
        if (this.#failures === 0 && !busy) await this.#waker.wait(pollMs, true);
      } catch (error) {
        this.#failures++;
        if (error instanceof SmtpUnavailable) smtpUp.set(0);
        else if (isUnavailable(error)) pauses = databaseBackoff;
        log[this.#failure ? 'debug' : 'warn']({ err: error, failures: this.#failures }, 'mail cannot be sent now');
        this.#failure ??= messageOf(error);
      }
      if (this.#failures > 0) await this.#waker.wait(backoffMs(this.#failures, pauses), false);
    }
    await this.#settle().catch((error: unknown) => {
      log.warn({ err: error, mails: this.#results.length }, 'the results of mails are lost: they are sent again');
    });
  }

  /** Sends one batch. Returns whether it had claims. @throws if the database or the SMTP server cannot be used */
  async #round(): Promise<boolean> {
    const { deliveries, concurrency } = this.#options;
    await this.#settle();
    // after a failure, one mail shows whether the server is back
    const claims = await deliveries.claim(this.#failures > 0 ? 1 : this.#batch, leaseMs);
    if (claims.length === 0) {
      this.#progressAt = performance.now();
      this.#failures = 0;
      return false;
    }
    const mails: Claim[] = [];
    for (const claim of claims) {
      const result = resultWithoutSending(claim);
      if (result) this.#results.push(result);
      else mails.push(claim);
    }
    const { sent, untried, failure } = await this.#send(mails);
    this.#results.push(...sent);
    if (untried.length > 0) await deliveries.release(untried.map((claim) => claim.id));
    await this.#settle();
    if (failure) throw failure;
    this.#progressAt = performance.now();
    if (sent.length > 0) {
      smtpUp.set(1);
      this.#failures = 0;
    }
    // with a slow server, claim fewer mails, so that other processes find some, too
    this.#batch =
      untried.length > 0 ? Math.max(concurrency, sent.length) : Math.min(this.#batch * 2, this.#options.maxBatch);
    return true;
  }

  /** Writes the results. It keeps them if the database is unavailable: without them the mails would be sent again. */
  async #settle(): Promise<void> {
    const results = this.#results;
    if (results.length === 0) return;
    try {
      await this.#options.deliveries.settle(results);
    } catch (error) {
      if (isUnavailable(error)) throw error;
      return this.#settleEach();
    }
    this.#results = [];
    countOutcomes(results);
  }

  /** Writes the results one by one: one that the database refuses holds up no others, whose mails would be sent again. */
  async #settleEach(): Promise<void> {
    const { deliveries, log } = this.#options;
    const refused: string[] = [];
    let failure: unknown;
    for (const result of this.#results.slice()) {
      try {
        await deliveries.settle([result]);
        countOutcomes([result]);
      } catch (error) {
        if (isUnavailable(error)) throw error;
        refused.push(result.id);
        failure ??= error;
      }
      this.#results.shift();
    }
    if (refused.length === 0) return;
    log.error({ err: failure, notifications: refused }, 'results of mails cannot be stored: they are sent again');
  }

  async #send(mails: Claim[]): Promise<{ sent: DeliveryResult[]; untried: Claim[]; failure: unknown }> {
    const { smtp, from, concurrency } = this.#options;
    const queue = mails.toReversed();
    const sent: DeliveryResult[] = [];
    const untried: Claim[] = [];
    const lastStart = performance.now() + batchMs;
    let failure: unknown;
    const lane = async () => {
      while (failure === undefined && !this.#stopping && performance.now() < lastStart) {
        const claim = queue.pop();
        if (!claim) return;
        try {
          sent.push(await attempt(smtp, from, claim));
          this.#progressAt = performance.now();
        } catch (error) {
          failure ??= error;
          untried.push(claim);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(concurrency, mails.length) }, lane));
    return { sent, untried: [...untried, ...queue], failure };
  }
}
