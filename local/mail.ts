import { createServer } from 'node:http';
import type { Server as NetServer } from 'node:net';

import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server';

import type { Running } from './keep.ts';
import { MailBox } from './mail-box.ts';
import { answerMailRequest } from './mail-page.ts';
import { portFault } from './ports.ts';

const LARGEST_MAIL = 1 << 20;

/** An SMTP server that delivers to a page. */
export interface MailServer extends Running {
  box: MailBox;
}

/**
 * Starts an SMTP server that accepts every mail and keeps the last ones, and the page that shows them. Both listen on this
 * machine only: nothing is ever sent on.
 */
export async function startMail(options: { smtpPort: number; pagePort: number }): Promise<MailServer> {
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
    await listen(smtp.server, options.smtpPort, 'the SMTP server');
    await listen(page, options.pagePort, 'the mail page');
  } catch (error) {
    await stop();
    throw error;
  }
  return { box, died: new Promise(() => undefined), stop, kill: () => void stop() };
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

async function listen(server: NetServer, port: number, owner: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const fail = (error: Error): void => reject(portFault(error, port, owner) as Error);
    server.once('error', fail);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', fail);
      resolve();
    });
  });
}
