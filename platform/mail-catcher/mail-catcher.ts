import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server as NetServer } from 'node:net';

import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server';

import { MailBox } from './box.ts';
import { answerMailRequest } from './page.ts';

const LARGEST_MAIL = 1 << 20;

/** An SMTP server that delivers to a page. */
export interface MailCatcher {
  box: MailBox;
  stop(): Promise<void>;
}

export interface MailCatcherOptions {
  smtpPort: number;
  pagePort: number;
  /** the address that both listen on */
  host: string;
}

/**
 * Starts an SMTP server that accepts every mail and keeps the last ones, and the page that shows them: nothing is ever
 * sent on.
 * @throws where a port cannot be had
 */
export async function startMailCatcher({ smtpPort, pagePort, host }: MailCatcherOptions): Promise<MailCatcher> {
  const box = new MailBox();
  const smtp = new SMTPServer({
    name: 'millrace',
    banner: 'Millrace, for looking at mail',
    disabledCommands: ['AUTH', 'STARTTLS'],
    authOptional: true,
    disableReverseLookup: true,
    size: LARGEST_MAIL,
    closeTimeout: 1_000,
    onData: (stream, session, done) => receive(box, stream, session, done),
  });
  // A client that goes away in the middle of a mail is no matter of ours.
  smtp.on('error', () => undefined);
  const page = createServer((request, response) => answerMailRequest(box, request, response));
  const stop = async (): Promise<void> => {
    page.closeAllConnections();
    await Promise.all([
      new Promise<void>((resolve) => smtp.close(() => resolve())),
      new Promise((resolve) => page.close(resolve)),
    ]);
  };
  try {
    await listen(smtp.server, smtpPort, host);
    await listen(page, pagePort, host);
  } catch (error) {
    await stop();
    throw error;
  }
  return { box, stop };
}

function receive(
  box: MailBox,
  stream: SMTPServerDataStream,
  session: SMTPServerSession,
  done: (error?: Error | null) => void,
): void {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => {
    if (!stream.sizeExceeded) chunks.push(chunk);
  });
  stream.on('end', () => {
    if (stream.sizeExceeded) {
      done(Object.assign(new Error(`A mail may have ${LARGEST_MAIL} bytes.`), { responseCode: 552 }));
      return;
    }
    const { mailFrom, rcptTo } = session.envelope;
    box.add({
      from: mailFrom ? mailFrom.address : '',
      to: rcptTo.map(({ address }) => address),
      raw: Buffer.concat(chunks),
    });
    done();
  });
}

async function listen(server: NetServer, port: number, host: string): Promise<void> {
  server.listen(port, host);
  await once(server, 'listening');
}
