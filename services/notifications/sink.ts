import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { SMTPServer } from 'smtp-server';

export interface ReceivedMail {
  to: string;
  messageId: string;
  message: string;
}

export interface SinkOptions {
  port?: number;
  /** throws, with a `responseCode`, to refuse a recipient */
  onRecipient?: (address: string) => void;
  /** awaited before a message is acknowledged */
  onMessage?: (mail: ReceivedMail) => void | Promise<void>;
}

/** An SMTP server for tests that keeps what it gets. */
export async function startSink({ port = 0, onRecipient, onMessage }: SinkOptions = {}) {
  const mails: ReceivedMail[] = [];
  let connections = 0;
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    logger: false,
    closeTimeout: 50,
    onConnect(_, callback) {
      connections++;
      callback();
    },
    onRcptTo({ address }, _, callback) {
      try {
        onRecipient?.(address);
        callback();
      } catch (error) {
        callback(error as Error);
      }
    },
    onData(stream, session, callback) {
      const receive = async () => {
        const message = await text(stream);
        const mail = {
          to: session.envelope.rcptTo[0]!.address,
          messageId: /^Message-ID: (.*)$/m.exec(message)![1]!.trim(),
          message,
        };
        await onMessage?.(mail);
        mails.push(mail);
      };
      receive().then(() => callback(), callback);
    },
  });
  server.on('error', () => undefined); // a client that goes away is part of the tests
  server.listen(port, '127.0.0.1');
  await once(server.server, 'listening');
  const bound = (server.server.address() as AddressInfo).port;
  return {
    url: `smtp://127.0.0.1:${bound}`,
    port: bound,
    mails,
    /** how many there have been */
    connections: () => connections,
    /** how many there are */
    open: () => server.connections.size,
    close: () => new Promise<void>((resolve) => server.close(resolve)),
  };
}

/** An error with which the server answers that code. */
export function reply(responseCode: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode });
}
