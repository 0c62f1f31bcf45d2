/** A mail as it was received. */
export interface Mail {
  id: number;
  receivedAt: Date;
  /** The sender and the recipients of the envelope. */
  from: string;
  to: string[];
  raw: Buffer;
}

/** The last mails, in memory. They are parsed when somebody looks at them: receiving one costs next to nothing. */
export class MailBox {
  readonly #capacity: number;
  readonly #mails: (Mail | undefined)[];
  #received = 0;

  constructor(capacity = 500) {
    this.#capacity = capacity;
    this.#mails = Array.from({ length: capacity });
  }

  /** How many mails came since the start. */
  get received(): number {
    return this.#received;
  }

  add(mail: { from: string; to: string[]; raw: Buffer }): void {
    this.#received += 1;
    this.#mails[this.#received % this.#capacity] = { ...mail, id: this.#received, receivedAt: new Date() };
  }

  /** A kept mail by its id. */
  get(id: number): Mail | undefined {
    const mail = this.#mails[id % this.#capacity];
    return mail?.id === id ? mail : undefined;
  }

  /**
   * The kept mails, newest first.
   * @param filter.to part of a recipient's address, in any case
   */
  list(filter: { to?: string | undefined; limit: number }): Mail[] {
    const wanted = filter.to?.toLowerCase();
    const found: Mail[] = [];
    for (let id = this.#received; id > this.#received - this.#capacity && found.length < filter.limit; id -= 1) {
      const mail = this.get(id);
      if (mail === undefined) break;
      if (wanted === undefined || mail.to.some((address) => address.toLowerCase().includes(wanted))) found.push(mail);
    }
    return found;
  }
}
