import { messageOf } from '#platform/errors';
import { backoffMs, Waker } from '#platform/lifecycle';
import type { BackoffOptions } from '#platform/lifecycle';
import { isUnavailable } from '#platform/postgres';
import type { Logger } from '#platform/telemetry';
import { attempt, countOutcomes, resultOfRefusal, resultWithoutSending } from './attempt.ts';
import type { Refusal, Sender } from './attempt.ts';
import type { Claim, Deliveries, DeliveryResult } from './deliveries.ts';
import { NotificationsError } from './errors.ts';
import { smtpUp } from './metrics.ts';
import { Refusals } from './refusals.ts';
import { SmtpUnavailable } from './smtp.ts';
import type { SmtpClient } from './smtp.ts';

export interface MailSenderOptions {
  deliveries: Deliveries;
  smtp: SmtpClient;
  from: Sender;
  log: Logger;
  /** how long a mail waits for its recipient to be known, in milliseconds */
  maxAgeMs: number;
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
/** The longest pause while the server is there and takes no mail: the next mail may be one that it takes. */
const longestRefusalMs = 10_000;
/** The most mails between two such pauses: enough to offer a backlog to a server that refuses each mail once, and no flood. */
const refusedBatch = 50;
/** After this time without a mail, health says so, in milliseconds. */
const unhealthyMs = 15_000;

/**
 * Sends PENDING notifications: claims a batch, sends it with bounded concurrency, and writes the results in one statement.
 * It sends at least once: if a process dies between the server's answer and the write, its claim expires, and another
 * sends the mail again with the same Message-ID. While the database cannot be used, the sender keeps the results, and writes
 * them before it claims more; results whose rows another session holds wait while it goes on. Attempts do not count while the server cannot be used, or takes no mail.
 */
export class MailSender {
  readonly #options: Required<MailSenderOptions>;
  #running: Promise<void> | undefined;
  #stopping = false;
  readonly #waker = new Waker();
  #batch: number;
  #failures = 0;
  readonly #refusals = new Refusals();
  /** why the last round failed, or the ones before it that it does not prove wrong */
  #failure: string | undefined;
  /** when a mail was sent, or nothing was due while the server took mails, by the clock of `performance.now()` */
  #progressAt = performance.now();
  /** results that are not written yet */
  #results: DeliveryResult[] = [];
  /** since when another session holds the rows of some, by the clock of `performance.now()`, and whether the log has it */
  #held: { since: number; isLogged: boolean } | undefined;

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

  /** @throws while mails wait that cannot be sent, or results that cannot be written */
  check(): void {
    if (!this.#running) return;
    const forMs = performance.now() - this.#progressAt;
    if (forMs >= unhealthyMs)
      throw new NotificationsError(
        'ERR_MAIL_NOT_SENT',
        `no mail could be sent for ${Math.round(forMs / 1_000)} s: ${this.#failure ?? 'a server does not answer, or refuses each of them'}`,
      );
    const heldMs = this.#held ? performance.now() - this.#held.since : 0;
    if (heldMs >= unhealthyMs)
      throw new NotificationsError(
        'ERR_MAIL_NOT_RECORDED',
        `the results of ${this.#results.length} mails wait for ${Math.round(heldMs / 1_000)} s: another session of PostgreSQL holds their rows`,
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
        const round = await this.#round();
        if (round === 'nothing is due') await this.#waker.wait(pollMs, true);
        if (round === 'refused') await this.#waker.wait(this.#refusalPause(), false);
        continue;
      } catch (error) {
        this.#failures++;
        if (error instanceof SmtpUnavailable) smtpUp.set(0);
        else if (isUnavailable(error)) pauses = databaseBackoff;
        log[this.#failure ? 'debug' : 'warn']({ err: error, failures: this.#failures }, 'mail cannot be sent now');
        this.#failure ??= messageOf(error);
      }
      await this.#waker.wait(backoffMs(this.#failures, pauses), false);
    }
    let failure: unknown;
    await this.#settle().catch((error: unknown) => {
      failure = error;
    });
    const mails = this.#results.length;
    if (mails > 0) log.warn({ err: failure, mails }, 'the results of mails are lost: they are sent again');
  }

  /** Sends one batch. @throws if the database or the SMTP server cannot be used */
  async #round(): Promise<'nothing is due' | 'refused' | 'done'> {
    const { deliveries, concurrency, maxBatch, maxAgeMs } = this.#options;
    await this.#settle();
    // after a failure, one mail shows whether the server is back
    const limit = this.#failures > 0 ? 1 : this.#batch;
    const kept = this.#results.map(({ id }) => id);
    const claims = await deliveries.claim(limit, leaseMs, kept);
    if (claims.length === 0) {
      this.#failures = 0;
      const { signs } = this.#refusals;
      if (signs.length > 0) this.#refusals.keep(await deliveries.waiting(signs));
      this.#noteProgress();
      return 'nothing is due';
    }
    const mails: Claim[] = [];
    for (const claim of claims) {
      const result = resultWithoutSending(claim, maxAgeMs);
      if (result) this.#results.push(result);
      else mails.push(claim);
    }
    const { settled, refused, untried, failure } = await this.#send(mails);
    const isSent = settled.some(({ status }) => status === 'SENT');
    const claimed = refused.map(({ claim }) => claim);
    const now = performance.now();
    const counts = this.#refusals.note(isSent, claimed, now);
    const refusals = { refusedForMs: this.#refusals.forMs(now), isOfServer: this.#refusals.isOfServer };
    this.#results.push(...settled, ...refused.map((refusal) => resultOfRefusal(refusal, counts, refusals)));
    if (untried.length > 0) await deliveries.release(untried.map((claim) => claim.id));
    await this.#settle();
    if (failure) throw failure;
    // mails that need no sending say nothing about the server
    if (settled.length + refused.length > 0) this.#failures = 0;
    if (isSent || mails.length === 0) this.#noteProgress();
    if (refused[0] && this.#refusals.isOfServer) {
      this.#noteRefusal(refused[0]);
      this.#batch = Math.min(maxBatch, refusedBatch);
      return 'refused';
    }
    // with a slow server, claim fewer mails, so that other processes find some, too
    const done = settled.length + refused.length;
    this.#batch = untried.length > 0 ? Math.max(concurrency, done) : Math.min(this.#batch * 2, maxBatch);
    return 'done';
  }

  /** A mail was sent, or none is due; but if the server takes none, that is no progress: they wait for their next attempt. */
  #noteProgress(): void {
    if (this.#failures > 0 || this.#refusals.isOfServer) return;
    smtpUp.set(1);
    this.#progressAt = performance.now();
    this.#failure = undefined;
  }

  #noteRefusal({ summary }: Refusal): void {
    smtpUp.set(0);
    const reason = `the server takes no mail: ${summary}`;
    this.#options.log[this.#failure ? 'debug' : 'warn']({ rounds: this.#refusals.rounds }, reason);
    this.#failure ??= reason;
  }

  #refusalPause(): number {
    const { backoff } = this.#options;
    return backoffMs(this.#refusals.rounds, { ...backoff, maxMs: Math.min(backoff.maxMs, longestRefusalMs) });
  }

  /** Writes the results. It keeps them if the database is unavailable: without them the mails would be sent again. */
  async #settle(): Promise<void> {
    if (this.#results.length > 0) {
      try {
        this.#results = await this.#write(this.#results);
      } catch (error) {
        if (isUnavailable(error)) throw error;
        await this.#settleEach();
      }
    }
    this.#noteHeld(this.#results.length);
  }

  /** Notes how many results wait for another session after all others are written. */
  #noteHeld(mails: number): void {
    if (mails === 0) {
      this.#held = undefined;
      return;
    }
    const now = performance.now();
    this.#held ??= { since: now, isLogged: false };
    if (this.#held.isLogged || now - this.#held.since < unhealthyMs) return;
    this.#held.isLogged = true;
    this.#options.log.warn({ mails }, 'the results of mails wait: another session of PostgreSQL holds their rows');
  }

  /** @returns the results that wait for another session */
  async #write(results: readonly DeliveryResult[]): Promise<DeliveryResult[]> {
    const held = new Set(await this.#options.deliveries.settle(results));
    countOutcomes(results.filter(({ id }) => !held.has(id)));
    return results.filter(({ id }) => held.has(id));
  }

  /** Writes the results one by one: one that the database refuses holds up no others, whose mails would be sent again. */
  async #settleEach(): Promise<void> {
    const refused: string[] = [];
    let failure: unknown;
    for (const result of this.#results.slice()) {
      let held: DeliveryResult[] = [];
      try {
        held = await this.#write([result]);
      } catch (error) {
        if (isUnavailable(error)) throw error;
        refused.push(result.id);
        failure ??= error;
      }
      this.#results = [...this.#results.slice(1), ...held];
    }
    if (refused.length === 0) return;
    this.#options.log.error(
      { err: failure, notifications: refused },
      'results of mails cannot be stored: they are sent again',
    );
  }

  async #send(mails: Claim[]) {
    const { smtp, from, concurrency } = this.#options;
    const queue = mails.toReversed();
    const settled: DeliveryResult[] = [];
    const refused: Refusal[] = [];
    const untried: Claim[] = [];
    const lastStart = performance.now() + batchMs;
    let failure: unknown;
    const lane = async () => {
      while (failure === undefined && !this.#stopping && performance.now() < lastStart) {
        const claim = queue.pop();
        if (!claim) return;
        try {
          const outcome = await attempt(smtp, from, claim);
          if ('status' in outcome) settled.push(outcome);
          else refused.push(outcome);
          if ('status' in outcome && outcome.status === 'SENT') this.#progressAt = performance.now();
        } catch (error) {
          failure ??= error;
          untried.push(claim);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(concurrency, mails.length) }, lane));
    return { settled, refused, untried: [...untried, ...queue], failure };
  }
}
