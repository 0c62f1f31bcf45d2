import { once } from 'node:events';
import { createServer } from 'node:http';

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
}

/**
 * Starts an SMTP server that keeps the last mails, and the page that shows them: nothing is ever sent on.
 * @throws where a port cannot be had
 */
export async function startMailCatcher({ smtpPort, pagePort, host }: MailCatcherOptions): Promise<MailCatcher> {
  const box = new MailBox();
  const smtp = await startSmtpServer({ port: smtpPort, host, onMail: (mail) => box.add(mail) });
  const page = createServer((request, response) => answerMailRequest(box, request, response));
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
