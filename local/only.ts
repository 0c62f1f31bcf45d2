import { generateClients } from './generate.ts';
import { Supervised } from './supervised.ts';
import type { Listener } from './listener.ts';
import type { Options } from './options.ts';
import { INSPECT_PORT } from './plan.ts';
import { firstFreePort } from './ports.ts';
import { reloadOnChange } from './reload.ts';
import { serviceProcess, startService } from './service.ts';
import { takeOver, type Taken } from './takeover.ts';
import type { SourceWatch } from './watch.ts';

/** One service of this clone, in the place of that of the platform which runs on the data folder. */
export class OnlyService {
  readonly #root: string;
  readonly #options: Options;
  readonly #name: string;
  readonly #listener: Listener;
  readonly #stopping = new AbortController();
  #started: Promise<void> = Promise.resolve();
  #taken: Taken | undefined;
  #kept: Supervised | undefined;
  #sources: SourceWatch | undefined;
  /** Where debuggers find it. */
  inspectPort: number | undefined;

  constructor(root: string, name: string, { options, listener }: { options: Options; listener: Listener }) {
    this.#root = root;
    this.#options = options;
    this.#name = name;
    this.#listener = listener;
  }

  /** Resolves when the platform is gone; after `start`. */
  get lost(): Promise<string> {
    return this.#taken!.lost.then(() => 'the platform is gone');
  }

  /** Where it listens; after `start`. */
  get url(): string {
    return `http://localhost:${this.#taken!.port}`;
  }

  /** Resolves when the service is ready. What was started before a failure still has to be stopped. */
  start(): Promise<void> {
    this.#started = this.#run();
    return this.#started;
  }

  async #run(): Promise<void> {
    const { data, inspect } = this.#options;
    const { signal } = this.#stopping;
    await generateClients();
    this.#taken = await takeOver(data, this.#name, signal);
    if (inspect !== undefined) this.inspectPort = await firstFreePort(INSPECT_PORT);
    const process = serviceProcess(
      { name: this.#name, ...this.#taken },
      { root: this.#root, data, inspectPort: this.inspectPort, listener: this.#listener },
    );
    const say: Listener['say'] = (level, line) => this.#listener.say(level, line);
    const kept = new Supervised(this.#name, (start) => startService(process, start), say);
    this.#kept = kept;
    const since = Date.now();
    await kept.start();
    this.#sources = reloadOnChange(this.#root, () => [kept], { since, listener: this.#listener });
  }

  /** Stops the service and gives its place back. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    // A start that is under way ends with the signal, or with the service.
    await Promise.all([this.#kept?.stop(), this.#started.catch(() => undefined)]);
    this.#sources?.stop();
    await this.#kept?.stop();
    this.#taken?.giveBack();
  }

  /** Ends its process at once. */
  kill(): void {
    this.#kept?.kill();
  }
}
