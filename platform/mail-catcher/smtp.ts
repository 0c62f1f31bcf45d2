import { PlatformError } from '#platform/errors';

import { once } from 'node:events';
import { SMTPServer } from 'smtp-server';
import type { SMTPServerDataStream, SMTPServerSession } from 'smtp-server';

const largestMail = 1 << 20;

/** A mail as it arrives: the sender and the recipients of the envelope, and the message. */
export interface ReceivedMail {
  from: string;
  to: string[];
  raw: Buffer;
}

export interface SmtpServerOptions {
  port: number;
  host: string;
  /** awaited before a mail is acknowledged; throws, with a `responseCode`, to refuse it */
  onMail: (mail: ReceivedMail) => void | Promise<void>;
}

/**
 * Starts an SMTP server that accepts every mail without a login and sends nothing on.
 * @throws where the port cannot be had
 */
export async function startSmtpServer({ port, host, onMail }: SmtpServerOptions): Promise<SMTPServer> {
  const server = new SMTPServer({
    name: 'millrace',
    banner: 'Millrace, for looking at mail',
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    size: largestMail,
    closeTimeout: 1_000,
    onData(stream, session, done) {
      receive(stream, session)
        .then(onMail)
        .then(() => done(), done);
    },
  });
  // A client that goes away in the middle of a mail is no matter of ours.
  server.on('error', () => undefined);
  server.server.listen(port, host);
  await once(server.server, 'listening');
  return server;
}

async function receive(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<ReceivedMail> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (!stream.sizeExceeded) chunks.push(chunk);
  }
  if (stream.sizeExceeded) {
    throw Object.assign(new PlatformError('ERR_MAIL_TOO_LARGE', `A mail may have ${largestMail} bytes.`), {
      responseCode: 552,
    });
  }
  const { mailFrom, rcptTo } = session.envelope;
  return {
    from: mailFrom ? mailFrom.address : '',
    to: rcptTo.map(({ address }) => address),
    raw: Buffer.concat(chunks),
  };
}
