import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Waker } from '#platform/lifecycle';

/** The time between two reads of the files, in milliseconds: they must agree, so that no half-written file counts. */
const settleMs = 100;
/** How often the folder is read, because some changes cause no notification: on network drives, in replaced folders. */
const pollMs = 2_000;

export interface QueryFolderOptions {
  dir: string;
  /** reads the files; throws if it cannot */
  read: () => QueryFile[];
  /** called when the content has changed, and has stopped changing */
  onChange: (contents: Contents) => void;
}

export interface QueryFile {
  file: string;
  text: string;
}

/** The content of a folder. */
export interface Contents {
  /** undefined if the folder cannot be read */
  files: QueryFile[] | undefined;
  /** equal for equal content; or the reason why it cannot be read */
  text: string;
}

/**
 * Watches a folder, also a mounted ConfigMap of Kubernetes: there all files change at once, with the symbolic link `..data`.
 */
export class QueryFolder {
  readonly #options: QueryFolderOptions;
  readonly #stopping = new AbortController();
  #watcher: FSWatcher | undefined;
  #running: Promise<void> | undefined;
  readonly #waker = new Waker();

  constructor(options: QueryFolderOptions) {
    this.#options = options;
  }

  read(): Contents {
    try {
      const files = this.#options.read();
      return { files, text: JSON.stringify(files) };
    } catch (error) {
      return { files: undefined, text: String(error) };
    }
  }

  /** @param known the content that was read before */
  start(known: Contents): void {
    this.#running ??= this.#run(known.text);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#waker.close();
    this.#watcher?.close();
    await this.#running;
  }

  async #run(known: string): Promise<void> {
    const { signal } = this.#stopping;
    let last = known;
    while (!signal.aborted) {
      this.#watch();
      await this.#waker.wait(pollMs, true);
      const contents = await this.#settle(last);
      if (signal.aborted || contents.text === last) continue;
      last = contents.text;
      this.#options.onChange(contents);
    }
  }

  /** The content of the folder when it has stopped changing. */
  async #settle(last: string): Promise<Contents> {
    let contents = this.read();
    while (contents.text !== last && !this.#stopping.signal.aborted) {
      await sleep(settleMs);
      const again = this.read();
      if (again.text === contents.text) break;
      contents = again;
    }
    return contents;
  }

  #watch(): void {
    if (this.#watcher) return;
    try {
      const watcher = watch(this.#options.dir, { persistent: false }, () => this.#waker.wake());
      const forget = () => {
        watcher.close();
        if (this.#watcher === watcher) this.#watcher = undefined;
      };
      watcher.on('error', forget);
      this.#watcher = watcher;
    } catch {
      this.#watcher = undefined; // the folder does not exist now; the next read tries again
    }
  }
}
