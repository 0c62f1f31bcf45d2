import { Readable } from 'node:stream';
import { parseConnectionUrl } from 'nodemailer/lib/shared';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { NotificationsError } from './errors.ts';

/** The server cannot be used: not reached, no greeting, no login, or it takes nothing from this sender. No mail's fault. */
export class SmtpUnavailable extends NotificationsError {
  override name = 'SmtpUnavailable';

  constructor(message: string, options: ErrorOptions) {
    super('ERR_MAIL_UNAVAILABLE', message, options);
  }
}

/** The server did not take one mail. */
export class SmtpRefused extends NotificationsError {
  override name = 'SmtpRefused';
  /** the same mail would be refused again */
  readonly permanent: boolean;
  /** the server's reply, such as 550; undefined where the connection broke. Its text may name the recipient */
  readonly replyCode: number | undefined;

  constructor(cause: NodemailerError) {
    super('ERR_MAIL_REFUSED', cause.response ?? cause.message, { cause });
    this.replyCode = cause.responseCode;
    // without a reply: what the client itself refuses stays wrong, a connection that broke may have a successor
    this.permanent = cause.permanent ?? (cause.code === 'EENVELOPE' || cause.code === 'EMESSAGE');
  }
}

interface NodemailerError extends Error {
  code?: string | undefined;
  command?: string | undefined;
  response?: string | undefined;
  responseCode?: number | undefined;
  permanent?: boolean | undefined;
}

/** how long the server may be silent during a mail, in milliseconds */
const replyTimeoutMs = 30_000;

export interface SmtpOptions {
  /** `smtp://user:password@host:port`, or `smtps://` for TLS from the start; STARTTLS is used where it is offered */
  url: string;
  /** how long the server may take to accept a connection and to greet, in milliseconds */
  connectTimeoutMs?: number;
  /** an unused connection is closed after that, before servers do (from about a minute on), in milliseconds */
  idleMs?: number;
}

/**
 * Connections to an SMTP server that are used again. nodemailer's own pool builds each message through streams and takes four
 * times the processor time; its connections, which this keeps, are the same.
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
   * Sends one message over a connection of its own for the time; the caller bounds how many are sent at once.
   *
   * @throws SmtpUnavailable before the mail was offered
   * @throws SmtpRefused where the server, or the connection in the middle of it, did not take the mail
   */
  async send(from: string, to: string, message: Buffer): Promise<void> {
    const reused = this.#idle.pop()?.connection;
    let connection = reused ?? (await this.#connect());
    let { error, offered } = await deliver(connection, from, to, message);
    if (error && reused && !offered && isLost(error)) {
      // the server gave up the connection while it was not used
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
      throw new SmtpUnavailable(`the server takes no mail from ${from}: ${error.response}`, { cause: error });
    }
    throw new SmtpRefused(error);
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

  /** The longest unused are in front: send() takes from the end. */
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
 * Resolves with the error of a mail that was not taken; a connection that ends settles it too. `offered` says whether the
 * server may have got the message itself.
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

/** Ends the transaction of a mail that was refused, so that the connection can take the next. */
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
