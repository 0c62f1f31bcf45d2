import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Waker } from '#platform/lifecycle';

/** Files are read twice so far apart, in milliseconds: one that is still being written is not taken for what it is to be. */
const settleMs = 100;
/** How often the folder is read where the system does not tell of changes: network drives, folders that are replaced. */
const pollMs = 2_000;

export interface QueryFolderOptions {
  dir: string;
  /** reads the files; throws where that cannot be done */
  read: () => QueryFile[];
  /** called when the folder says something else, and has stopped changing */
  onChange: (contents: Contents) => void;
}

export interface QueryFile {
  file: string;
  text: string;
}

/** What a folder says. */
export interface Contents {
  /** undefined where it cannot be read */
  files: QueryFile[] | undefined;
  /** the same for the same contents; else why they cannot be read */
  text: string;
}

/**
 * Watches a folder, also one that Kubernetes mounts of a ConfigMap: there all files change at once, with the symbolic link
 * `..data`.
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

  /** @param known what has been read before */
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

  /** What the folder says when it has stopped changing. */
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
      this.#watcher = undefined; // the folder is away; it is read all the same
    }
  }
}
