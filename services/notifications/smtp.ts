import { Readable } from 'node:stream';
import { parseConnectionUrl } from 'nodemailer/lib/shared';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { NotificationsError } from './errors.ts';

/**
 * The server cannot be used: unreachable, no greeting, no login or a wrong one, or it refuses this sender. The mail is not the
 * cause.
 */
export class SmtpUnavailable extends NotificationsError {
  override name = 'SmtpUnavailable';

  constructor(message: string, options: ErrorOptions) {
    super('ERR_MAIL_UNAVAILABLE', message, options);
  }
}

/**
 * The permanent refusals that are about the recipient, by their enhanced codes (RFC 3463): the address (5.1.1 to 5.1.6,
 * 5.1.10) or the mailbox (5.2.1, 5.2.3, 5.2.4; a full one, 5.2.2, is emptied). Any other, as `550`, `554 5.7.1` or `550 5.1.8`, can be the server's policy or
 * about the sender, and meet all mails.
 */
const aboutRecipient = /^5\d\d[ -]5\.(?:1\.(?:[1-6]|10)|2\.[134])(?!\d)/;

/** The code and the enhanced code that a reply begins with. */
const replyCodes = /^\d{3}(?:[ -]\d\.\d{1,3}\.\d{1,3})?/;

/** The server did not accept one mail. */
export class SmtpRefused extends NotificationsError {
  override name = 'SmtpRefused';
  /** the same mail would be refused again, and no other for the same reason */
  readonly permanent: boolean;
  /** the mail was handed over, and the answer is missing: the server may deliver it */
  readonly mayHaveArrived: boolean;
  /** the codes of the reply without its words, which often name the recipient */
  readonly summary: string;

  constructor(cause: NodemailerError, isOffered: boolean) {
    const mayHaveArrived = isOffered && cause.responseCode === undefined;
    super('ERR_MAIL_REFUSED', (cause.response ?? cause.message) + (mayHaveArrived ? '; it may have arrived' : ''), {
      cause,
    });
    const codes = replyCodes.exec(cause.response ?? '')?.[0];
    this.summary = codes ? `SMTP ${codes.replace('-', ' ')}` : 'the connection was lost';
    // without a reply: a refusal of the client itself is permanent; after a lost connection another can succeed
    this.permanent =
      cause.response === undefined
        ? cause.code === 'EENVELOPE' || cause.code === 'EMESSAGE'
        : aboutRecipient.test(cause.response);
    this.mayHaveArrived = mayHaveArrived;
  }
}

interface NodemailerError extends Error {
  code?: string | undefined;
  command?: string | undefined;
  response?: string | undefined;
  responseCode?: number | undefined;
}

/** how long the server may be silent during a mail, in milliseconds */
const replyTimeoutMs = 30_000;

export interface SmtpOptions {
  /** `smtp://user:password@host:port`, or `smtps://` for TLS from the start; STARTTLS is used if the server offers it */
  url: string;
  /** how long the server may take to accept a connection and to greet, in milliseconds */
  connectTimeoutMs?: number;
  /** closes an unused connection after this time, before servers do (after about a minute), in milliseconds */
  idleMs?: number;
}

/**
 * A pool of nodemailer's connections to an SMTP server. nodemailer's own pool builds each message through streams and takes
 * four times the processor time.
 */
export class SmtpClient {
  readonly host: string;
  readonly port: number;
  readonly #options: SMTPConnection.Options;
  readonly #auth: { user: string; pass: string } | undefined;
  readonly #idleMs: number;
  readonly #idle: { connection: SMTPConnection; since: number }[] = [];
  readonly #sweeper: NodeJS.Timeout;
  #closed = false;

  constructor({ url, connectTimeoutMs = 5_000, idleMs = 20_000 }: SmtpOptions) {
    const { auth, ...parsed } = parseConnectionUrl(url) as SMTPConnection.Options & {
      auth?: { user: string; pass: string };
    };
    this.#options = {
      ...parsed,
      connectionTimeout: connectTimeoutMs,
      greetingTimeout: connectTimeoutMs,
      dnsTimeout: connectTimeoutMs,
      socketTimeout: replyTimeoutMs,
      logger: false,
    };
    this.#auth = auth;
    this.host = parsed.host ?? 'localhost';
    this.port = Number(parsed.port ?? (parsed.secure ? 465 : 587));
    this.#idleMs = idleMs;
    this.#sweeper = setInterval(() => this.#sweep(), idleMs / 2).unref();
  }

  /**
   * Sends one message over a connection that no other message uses meanwhile; the caller bounds the concurrency.
   *
   * @throws SmtpUnavailable before the recipient was named
   * @throws SmtpRefused if the server did not accept the mail, or the connection broke in the middle of it
   */
  async send(from: string, to: string, message: Buffer): Promise<void> {
    const reused = this.#idle.pop()?.connection;
    let connection = reused ?? (await this.#connect());
    let { error, offered } = await deliver(connection, from, to, message);
    if (error && reused && !offered && isLost(error)) {
      // the server closed the unused connection
      connection.close();
      connection = await this.#connect();
      ({ error, offered } = await deliver(connection, from, to, message));
    }
    if (!error) {
      this.#keep(connection);
      return;
    }
    if (!isLost(error) && (await reset(connection))) this.#keep(connection);
    else connection.close();
    if (error.command === 'MAIL FROM' && error.responseCode !== undefined) {
      throw new SmtpUnavailable(`the server refuses mail from ${from}: ${error.response}`, { cause: error });
    }
    throw new SmtpRefused(error, offered);
  }

  /** Closes the connections that are not in use. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#sweeper);
    for (const { connection } of this.#idle.splice(0)) connection.quit();
  }

  async #connect(): Promise<SMTPConnection> {
    const connection = new SMTPConnection(this.#options);
    const auth = this.#auth;
    try {
      await new Promise<void>((resolve, reject) => {
        connection.on('error', reject);
        connection.once('end', () =>
          reject(new NotificationsError('ERR_MAIL_CONNECTION_LOST', 'the server closed the connection')),
        );
        connection.connect((error) => (error ? reject(error) : resolve()));
      });
      if (auth && connection.allowsAuth) {
        await new Promise<void>((resolve, reject) => {
          connection.login(auth, (error) => (error ? reject(error) : resolve()));
        });
      }
    } catch (cause) {
      connection.close();
      throw new SmtpUnavailable(`the SMTP server cannot be used: ${(cause as Error).message}`, { cause });
    }
    connection.once('end', () => this.#forget(connection));
    return connection;
  }

  #keep(connection: SMTPConnection): void {
    if (this.#closed) connection.quit();
    else if (!connection.destroyed) this.#idle.push({ connection, since: performance.now() });
  }

  #forget(connection: SMTPConnection): void {
    const at = this.#idle.findIndex((idle) => idle.connection === connection);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  /** Closes from the front, where the longest unused ones are: send() takes from the end. */
  #sweep(): void {
    const oldest = performance.now() - this.#idleMs;
    while (this.#idle[0] && this.#idle[0].since < oldest) this.#idle.shift()!.connection.quit();
  }
}

/** Whether an error ended the connection: no reply at all, or that the server is closing it. */
function isLost({ responseCode, code }: NodemailerError): boolean {
  if (responseCode !== undefined) return responseCode === 421;
  return code !== 'EENVELOPE' && code !== 'EMESSAGE';
}

/**
 * Resolves with the error of a mail that was not accepted; the end of the connection settles it, too. `offered` tells
 * whether the server may have received the message.
 */
function deliver(
  connection: SMTPConnection,
  from: string,
  to: string,
  message: Buffer,
): Promise<{ error: NodemailerError | null; offered: boolean }> {
  return new Promise((resolve) => {
    let offered = false;
    const content = new Readable({
      read() {
        offered = true;
        this.push(message);
        this.push(null);
      },
    });
    const settle = (error: NodemailerError | null) => {
      connection.off('end', ended);
      resolve({ error, offered });
    };
    const ended = () =>
      settle(new NotificationsError('ERR_MAIL_CONNECTION_LOST', 'the connection was lost in the middle of the mail'));
    connection.once('end', ended);
    connection.send({ from, to: [to] }, content, settle);
  });
}

/** Ends the transaction of a mail that was refused, so that the connection can send the next one. */
function reset(connection: SMTPConnection): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (done: boolean) => {
      connection.off('end', ended);
      resolve(done);
    };
    const ended = () => settle(false);
    connection.once('end', ended);
    connection.reset((error) => settle(!error));
  });
}
