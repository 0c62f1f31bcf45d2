import { counter, gauge, histogram } from '#platform/telemetry';
import type { Deliveries } from './deliveries.ts';

/** Attempts to send a mail, by result. */
export const mails = counter({
  name: 'millrace_mails_total',
  help: 'E-mails by result of an attempt: sent, retried, or failed permanently',
  labelNames: ['outcome'],
});

/** How long the SMTP server took for a mail. */
export const sendSeconds = histogram({
  name: 'millrace_mail_send_seconds',
  help: 'Time to hand one e-mail to the SMTP server',
});

/** Whether no mail waits because of the SMTP server: 1 also while there is nothing to send. */
export const smtpUp = gauge({
  name: 'millrace_smtp_up',
  help: 'Whether no e-mail waits because the SMTP server cannot be used, or takes none: 1 or 0',
});

/** The length and age of the work list; each scrape queries the database. */
export function observeBacklog(deliveries: Pick<Deliveries, 'backlog'>): void {
  const oldest = gauge({
    name: 'millrace_mails_oldest_pending_seconds',
    help: 'Age of the oldest e-mail that waits to be sent',
  });
  gauge({
    name: 'millrace_mails_pending',
    help: 'E-mails that wait for their first or next attempt',
    async collect() {
      try {
        const { pending, oldestSeconds } = await deliveries.backlog();
        this.set(pending);
        oldest.set(oldestSeconds);
      } catch {
        // a scrape must not fail with the database; without an answer the metric is absent, not 0
        this.set(Number.NaN);
        oldest.set(Number.NaN);
      }
    },
  });
}
