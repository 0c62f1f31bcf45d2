import { once } from 'node:events';
import { createServer } from 'node:http';

import { isLoopback, ownNamesOnly } from '#platform/local-names';

import { MailBox } from './box.ts';
import { answerMailRequest } from './page.ts';
import { startSmtpServer } from './smtp.ts';

/** An SMTP server that delivers to a page. */
export interface MailCatcher {
  stop(): Promise<void>;
}

export interface MailCatcherOptions {
  smtpPort: number;
  pagePort: number;
  /** the address that both listen on */
  host: string;
  /** further names of a page that only this machine reaches, separated by commas; default: none */
  trustedHosts?: string | undefined;
}

/**
 * Starts an SMTP server that keeps the last mails, and the page that shows them: nothing is ever sent on.
 * @throws where a port cannot be had
 */
export async function startMailCatcher(options: MailCatcherOptions): Promise<MailCatcher> {
  const { smtpPort, pagePort, host } = options;
  const checkNames = isLoopback(host) ? ownNamesOnly(options.trustedHosts) : undefined;
  const box = new MailBox();
  const smtp = await startSmtpServer({ port: smtpPort, host, onMail: (mail) => box.add(mail) });
  const page = createServer((request, response) => {
    const foreign = checkNames?.(request.headers);
    if (foreign === undefined) answerMailRequest(box, request, response);
    else response.writeHead(403, { 'Content-Type': 'text/plain; charset=utf-8' }).end(foreign);
  });
  const stop = async (): Promise<void> => {
    page.closeAllConnections();
    await Promise.all([
      new Promise<void>((resolve) => smtp.close(() => resolve())),
      new Promise((resolve) => page.close(resolve)),
    ]);
  };
  try {
    page.listen(pagePort, host);
    await once(page, 'listening');
  } catch (error) {
    await stop();
    throw error;
  }
  return { stop };
}
