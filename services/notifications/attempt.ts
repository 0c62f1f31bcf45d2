import { messageOf } from '#platform/errors';
import { SpanKind, failSpan, isSampled, startSpan } from '#platform/telemetry';
import type { Claim, DeliveryResult } from './deliveries.ts';
import { mails, sendSeconds } from './metrics.ts';
import { composeMail, isUsableAddress } from './mime.ts';
import { retryDelay, retryOfCopy, retryOfRefused, retryOfUnknown } from './retry.ts';
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

/** A mail that the server did not take now. Whether that counts as an attempt, the other mails tell. */
export interface Refusal {
  claim: Claim;
  error: string;
  /** the error without the server's own words */
  summary: string;
  /** the mail was handed over, and only the answer is missing */
  mayHaveArrived: boolean;
}

/**
 * The result of a claim whose recipient is deleted or not known yet, so that it cannot be sent; undefined if it can.
 *
 * @param maxAgeMs how long a mail waits for its recipient
 */
export function resultWithoutSending({ id, known, email, ageMs }: Claim, maxAgeMs: number): DeliveryResult | undefined {
  if (!known) {
    const unknown = { id, recipient: null, error: 'the recipient is not known' };
    if (ageMs >= maxAgeMs) return { ...unknown, status: 'FAILED' };
    return { ...unknown, status: 'PENDING', retryInMs: retryOfUnknown(ageMs), counts: false, isCopy: false };
  }
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
export async function attempt(smtp: SmtpClient, from: Sender, claim: Claim): Promise<DeliveryResult | Refusal> {
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
    if (!(error instanceof SmtpRefused)) return retried(claim, reason);
    if (error.permanent) return { id, recipient: address, status: 'FAILED', error: reason };
    return { claim, error: reason, summary: error.summary, mayHaveArrived: error.mayHaveArrived };
  }
  sendSeconds.observe((performance.now() - startedAt) / 1000);
  span?.end();
  return { id, recipient: address, status: 'SENT' };
}

/**
 * The result of a refusal. One that does not count leaves the mail PENDING for as long as it takes. That of a mail that may
 * have arrived always counts, so that nobody gets copies without an end.
 */
export function resultOfRefusal(
  { claim, error, mayHaveArrived }: Refusal,
  counts: boolean,
  refusals: { refusedForMs: number; isOfServer: boolean },
): DeliveryResult {
  if (counts || mayHaveArrived) return retried(claim, error, mayHaveArrived);
  const retryInMs = retryOfRefused(refusals, claim.attempts);
  return { id: claim.id, recipient: claim.email, status: 'PENDING', error, retryInMs, counts, isCopy: false };
}

/** Counts outcomes in the metrics. */
export function countOutcomes(outcomes: readonly DeliveryResult[]): void {
  const counts = { SENT: 0, PENDING: 0, FAILED: 0 };
  for (const { status } of outcomes) counts[status]++;
  mails.inc({ outcome: 'sent' }, counts.SENT);
  mails.inc({ outcome: 'retried' }, counts.PENDING);
  mails.inc({ outcome: 'failed' }, counts.FAILED);
}

function retried({ id, email, attempts, copies }: Claim, error: string, isCopy = false): DeliveryResult {
  const retryInMs = isCopy ? retryOfCopy(copies + 1) : retryDelay(attempts + 1);
  if (retryInMs === undefined) return { id, recipient: email, status: 'FAILED', error };
  return { id, recipient: email, status: 'PENDING', error, retryInMs, counts: true, isCopy };
}

/** The error text of a span; not the server's own words, which often repeat the address. */
function spanErrorOf(error: unknown): string {
  if (error instanceof SmtpRefused) return error.summary;
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
