import { setTimeout as sleep } from 'node:timers/promises';

const everyMs = 1_000;
const askMs = 5_000;
const listed = 500;

/** Collects what the mail catcher takes, which keeps only the last mails. */
export class MailReader {
  readonly mails: { messageId: string }[] = [];
  readonly #url: string;
  readonly #stopping = new AbortController();
  #last = 0;
  #loop: Promise<void> | undefined;

  /** @param url of the mail catcher */
  constructor(url: string) {
    this.#url = url;
  }

  /** @param before the events whose mails came before, which the mail catcher may have forgotten */
  async start(before: readonly string[]): Promise<void> {
    for (const id of before) this.mails.push({ messageId: `<${id}@before>` });
    this.#last = (await this.#list())[0]?.id ?? 0;
    this.#loop ??= this.#run();
  }

  /** Reads what has come since. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#read().catch(() => undefined); // its pod may move
      await sleep(everyMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #read(): Promise<void> {
    const list = await this.#list();
    if ((list[0]?.id ?? 0) < this.#last) this.#last = 0; // it has started anew, and counts from 1 again
    for (const { id } of list.toReversed()) {
      if (id <= this.#last) continue;
      const raw = await this.#get(`/messages/${id}/raw`);
      this.mails.push({ messageId: /^message-id:\s*(\S+)/im.exec(raw)?.[1] ?? '' });
      this.#last = id;
    }
  }

  /** The last mails, newest first. */
  async #list(): Promise<{ id: number }[]> {
    return JSON.parse(await this.#get(`/api/messages?limit=${listed}`)) as { id: number }[];
  }

  async #get(path: string): Promise<string> {
    const response = await fetch(this.#url + path, { signal: AbortSignal.timeout(askMs) });
    if (!response.ok) throw new Error(`the mail catcher answers ${response.status}`);
    return await response.text();
  }
}
