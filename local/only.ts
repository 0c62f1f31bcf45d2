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

/** One service of this clone, in place of the same service of the platform that runs on the data folder. */
export class OnlyService {
  readonly #root: string;
  readonly #options: Options;
  readonly #name: string;
  readonly #listener: Listener;
  readonly #stopping = new AbortController();
  #started: Promise<void> = Promise.resolve();
  #taken: Taken | undefined;
  #supervised: Supervised | undefined;
  #sources: SourceWatch | undefined;
  /** The port for debuggers. */
  inspectPort: number | undefined;

  constructor(root: string, name: string, { options, listener }: { options: Options; listener: Listener }) {
    this.#root = root;
    this.#options = options;
    this.#name = name;
    this.#listener = listener;
  }

  /** Resolves when the platform has ended; after `start`. */
  get lost(): Promise<string> {
    return this.#taken!.lost.then(() => 'the platform has ended');
  }

  /** Where it listens; after `start`. */
  get url(): string {
    return `http://localhost:${this.#taken!.port}`;
  }

  /** Resolves when the service is ready. After a failure, call `stop` for the parts that have started. */
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
    const supervised = new Supervised(
      this.#name,
      (start) => startService(process, start, (line) => say('warn', line)),
      say,
    );
    this.#supervised = supervised;
    const since = Date.now();
    await supervised.start();
    this.#sources = reloadOnChange(this.#root, () => [supervised], { since, listener: this.#listener });
  }

  /** Stops the service and returns it to the platform. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    // The signal, or the end of the service, ends a running start.
    await Promise.all([this.#supervised?.stop(), this.#started.catch(() => undefined)]);
    this.#sources?.stop();
    await this.#supervised?.stop();
    this.#taken?.giveBack();
  }

  /** Ends its process at once. */
  kill(): void {
    this.#supervised?.kill();
  }
}
