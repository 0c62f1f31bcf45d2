import type { AddressInfo } from 'node:net';
import { startSmtpServer } from '#platform/mail-catcher/smtp.ts';

export interface TestMail {
  to: string;
  messageId: string;
  message: string;
}

export interface TestSmtpOptions {
  port?: number;
  /** throws, with a `responseCode`, to refuse a recipient */
  onRecipient?: (address: string) => void;
  /** awaited before a message is acknowledged */
  onMessage?: (mail: TestMail) => void | Promise<void>;
}

/** The platform's SMTP server on a free port. It keeps messages, and refuses those that the test selects. */
export async function startTestSmtp({ port = 0, onRecipient, onMessage }: TestSmtpOptions = {}) {
  const mails: TestMail[] = [];
  let connections = 0;
  const server = await startSmtpServer({
    port,
    host: '127.0.0.1',
    async onMail({ to, raw }) {
      const message = raw.toString();
      const mail = { to: to[0]!, messageId: /^Message-ID: (.*)$/m.exec(message)![1]!.trim(), message };
      await onMessage?.(mail);
      mails.push(mail);
    },
  });
  server.server.on('connection', () => (connections += 1));
  server.onRcptTo = ({ address }, _, callback) => {
    try {
      onRecipient?.(address);
      callback();
    } catch (error) {
      callback(error as Error);
    }
  };
  const cut = () => {
    for (const connection of server.connections) connection.close();
  };
  const bound = (server.server.address() as AddressInfo).port;
  return {
    url: `smtp://127.0.0.1:${bound}`,
    port: bound,
    mails,
    /** the number of connections so far */
    connections: () => connections,
    /** the number of open connections */
    open: () => server.connections.size,
    /** Ends all connections, also those that a client keeps. */
    cut,
    /** Ends all connections, too. */
    close() {
      const closed = new Promise<void>((resolve) => server.close(resolve));
      cut();
      return closed;
    },
  };
}

/** An error that makes the server answer with the code. */
export function reply(responseCode: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode });
}
