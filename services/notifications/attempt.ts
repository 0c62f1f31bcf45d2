import { messageOf } from '#platform/errors';
import { SpanKind, failSpan, isSampled, startSpan } from '#platform/telemetry';
import type { Claim, DeliveryResult } from './deliveries.ts';
import { mails, sendSeconds } from './metrics.ts';
import { composeMail, isUsableAddress } from './mime.ts';
import { recipientRetry, retryDelay, smtpRetry } from './retry.ts';
import type { RetryPolicy } from './retry.ts';
import { SmtpRefused, SmtpUnavailable } from './smtp.ts';
import type { SmtpClient } from './smtp.ts';
import { letter } from './templates.ts';
import { oneLine } from './text.ts';

/** the longest reason that the database keeps, in characters */
const maxReason = 1_000;

export interface Sender {
  name: string;
  address: string;
}

/**
 * The result of a claim whose recipient is deleted or not known yet, so that it cannot be sent; undefined if it can.
 */
export function resultWithoutSending({ id, known, email, attempts }: Claim): DeliveryResult | undefined {
  if (!known) return failed(id, null, 'the recipient is not known', attempts, recipientRetry);
  if (email === null) return { id, recipient: null, status: 'FAILED', error: 'the user was deleted' };
  if (!isUsableAddress(email)) {
    return { id, recipient: null, status: 'FAILED', error: 'the address cannot be used for e-mail' };
  }
  return undefined;
}

/**
 * Sends one claimed notification. The Message-ID comes from the event id, so that a mail program recognises a mail that is
 * sent twice because a sender died before it wrote the result.
 *
 * @throws SmtpUnavailable if the mail was not tried
 */
export async function attempt(smtp: SmtpClient, from: Sender, claim: Claim): Promise<DeliveryResult> {
  const { id, eventId, subject, body, email, firstName, lastName, traceparent } = claim;
  const address = email!; // resultWithoutSending() has checked it
  const span = isSampled(traceparent ?? undefined) ? spanOf(smtp, claim) : undefined;
  const startedAt = performance.now();
  try {
    const message = composeMail({
      from,
      to: { name: `${firstName} ${lastName}`, address },
      id: eventId,
      subject,
      text: letter(body, firstName ?? ''),
      date: new Date(),
    });
    await smtp.send(from.address, address, message);
  } catch (error) {
    if (span) failSpan(span, spanErrorOf(error));
    if (error instanceof SmtpUnavailable) throw error;
    const reason = oneLine(messageOf(error), maxReason); // the server's own words: any bytes, any number of them
    if (error instanceof SmtpRefused && error.permanent) {
      return { id, recipient: address, status: 'FAILED', error: reason };
    }
    return failed(id, address, reason, claim.attempts, smtpRetry);
  }
  sendSeconds.observe((performance.now() - startedAt) / 1000);
  span?.end();
  return { id, recipient: address, status: 'SENT' };
}

/** Counts outcomes in the metrics. */
export function countOutcomes(outcomes: readonly DeliveryResult[]): void {
  const counts = { SENT: 0, PENDING: 0, FAILED: 0 };
  for (const { status } of outcomes) counts[status]++;
  mails.inc({ outcome: 'sent' }, counts.SENT);
  mails.inc({ outcome: 'retried' }, counts.PENDING);
  mails.inc({ outcome: 'failed' }, counts.FAILED);
}

function failed(
  id: string,
  recipient: string | null,
  error: string,
  before: number,
  policy: RetryPolicy,
): DeliveryResult {
  const retryInMs = retryDelay(policy, before + 1);
  if (retryInMs === undefined) return { id, recipient, status: 'FAILED', error };
  return { id, recipient, status: 'PENDING', error, retryInMs };
}

/** The error text of a span; not the server's own words, which often repeat the address. */
function spanErrorOf(error: unknown): string {
  if (error instanceof SmtpRefused) return error.replyCode ? `SMTP ${error.replyCode}` : 'the connection was lost';
  return error instanceof SmtpUnavailable ? 'the SMTP server cannot be used' : 'the mail could not be composed';
}

/** Without the recipient: more people can read traces than the database. */
function spanOf(smtp: SmtpClient, { eventId, type, traceparent, attempts }: Claim) {
  return startSpan('send e-mail', {
    kind: SpanKind.CLIENT,
    parent: traceparent ?? undefined,
    attributes: {
      'server.address': smtp.host,
      'server.port': smtp.port,
      'millrace.event.id': eventId,
      'millrace.event.type': type,
      'millrace.attempt': attempts + 1,
    },
  });
}
