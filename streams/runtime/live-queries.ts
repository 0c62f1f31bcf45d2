import { basename, join } from 'node:path';
import { declarationsDir, eventServices, streamQueryFiles } from '#platform/declarations';
import type { Health } from '#platform/health';
import { readTopicLog } from '#platform/kafka';
import type { KafkaAdmin } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import { gauge } from '#platform/telemetry';
import type { Pool } from '#platform/postgres';
import { differences } from '#streams/engine';
import type { Versions } from '#streams/engine';
import { queryTopics, readQueries } from '#streams/language';
import type { QueryFault, QueryTopics, LoadedQueries } from '#streams/language';
import { forgetStarts, readEpoch, readLive, registerQueries, serveCaughtUp } from '#streams/store';
import type { VersionSource } from '#streams/store';
import { QueryFolder } from './query-folder.ts';
import type { Contents } from './query-folder.ts';
import { Ticker } from '#platform/lifecycle';

/** How often to look for new topics in Kafka while a query waits for one. */
const askEveryMs = 5_000;
/** How soon a worker follows a change of another one. */
const followEveryMs = 500;

export interface LiveQueriesOptions {
  /** the live group: the service's own consumer group */
  group: string;
  pool: Pool;
  admin: Pick<KafkaAdmin, 'topicId' | 'topics' | 'watermarks'>;
  log: Logger;
  /** of the service: it says why changes are not followed */
  health: Health;
  source: VersionSource;
  /** the topics that the service reads */
  topics: readonly string[];
  /** the folder of the declarations; default: that of the service */
  declarations?: string;
  /** called with the running versions at every tick */
  follow: (versions: Versions) => Promise<void>;
}

/**
 * Keeps the running queries as the files declare them, without a restart. A worker writes changes of its files to the
 * database, and all workers follow the database. It writes only what has changed in its own files, so that a worker with
 * older files does not undo a change. A file with a mistake changes nothing.
 */
export class LiveQueries {
  readonly #options: LiveQueriesOptions;
  readonly #dir: string;
  /** the topics that queries can use: those that the services declare, and others that exist in Kafka */
  #topics: QueryTopics;
  readonly #folder: QueryFolder;
  readonly #ticker: Ticker;
  #starting: Promise<void> | undefined;
  #stopped = false;
  #versions: Versions | undefined;
  #contents: Contents | undefined;
  #faults: QueryFault[] = [];
  #askedAt = Number.NEGATIVE_INFINITY;
  /** the applied definitions of this worker's files, by name */
  #applied = new Map<string, string>();
  /** the content of its files that is not applied yet */
  #reading: (LoadedQueries & { isReadable: boolean }) | undefined;

  constructor(options: LiveQueriesOptions) {
    this.#options = options;
    const { declarations = declarationsDir, log, health } = options;
    this.#dir = join(declarations, 'queries');
    this.#topics = queryTopics(eventServices(declarations));
    this.#folder = new QueryFolder({
      dir: this.#dir,
      read: () => streamQueryFiles(declarations),
      onChange: (contents) => this.#onChange(contents),
    });
    const name = 'follow the stream queries';
    this.#ticker = new Ticker({ name, everyMs: followEveryMs, log, run: () => this.#follow() });
    health.addWork(name, () => this.#ticker.check());
    this.#registerMetrics();
  }

  /** Applies the files and watches them. @throws if the database is unavailable */
  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    const { pool } = this.#options;
    const contents = this.#folder.read();
    const { live } = await readLive(pool);
    this.#applied = new Map(live.map(({ name, definition }) => [name, definition ?? '']));
    this.#onChange(contents);
    try {
      await this.#apply();
    } catch (error) {
      this.#options.log.warn({ err: error }, 'the query files cannot be applied yet');
    }
    await this.#refresh();
    if (this.#stopped) return;
    this.#folder.start(contents);
    this.#ticker.start();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.allSettled([this.#starting]);
    await this.#folder.stop();
    await this.#ticker.stop();
  }

  /** Looks for changes at once. */
  wake(): void {
    this.#ticker.wake();
  }

  /** The running versions, after `start`. */
  get versions(): Versions {
    return this.#versions!;
  }

  /** The mistakes in this worker's query files; file names are without folder. */
  get faults(): QueryFault[] {
    return this.#faults.map((fault) => ({ ...fault, file: basename(fault.file) }));
  }

  #onChange(contents: Contents): void {
    const { log, topics } = this.#options;
    const { files, text } = contents;
    this.#contents = contents;
    const reading = files
      ? readQueries(files, this.#topics, new Set(topics))
      : { declared: [], faults: [{ file: this.#dir, line: 1, message: text, query: undefined }] };
    this.#faults = reading.faults;
    for (const { file, line, message } of reading.faults)
      log.error(`${file}:${line}: ${message}; what ran of it before goes on`);
    // a file without a readable name can be that of any query: then no query counts as removed
    this.#reading = { ...reading, isReadable: reading.faults.every(({ query }) => query !== undefined) };
    this.#ticker.wake();
  }

  /** Looks for topics that were created after the file of a query that uses them. */
  async #askForTopics(): Promise<void> {
    if (this.#faults.length === 0 || !this.#contents || performance.now() < this.#askedAt + askEveryMs) return;
    this.#askedAt = performance.now();
    const known = this.#topics.known.union(new Set(await this.#options.admin.topics()));
    if (known.size === this.#topics.known.size) return;
    this.#topics = { ...this.#topics, known };
    this.#onChange(this.#contents);
  }

  async #apply(): Promise<void> {
    const reading = this.#reading;
    if (!reading) return;
    const { pool, group, admin, log } = this.#options;
    const faulty = new Set(reading.faults.flatMap(({ query }) => query ?? []));
    const changes = differences(this.#applied, { ...reading, faulty });
    if (changes.changed.length + changes.removed.length > 0) {
      const left = await registerQueries(pool, group, changes, (topic) =>
        readTopicLog(admin, topic, (name) => admin.watermarks(name)),
      );
      const changed = changes.changed.filter(({ name }) => !left.has(name));
      for (const { name, definition } of changed) this.#applied.set(name, definition);
      for (const name of changes.removed) this.#applied.delete(name);
      if (changed.length + changes.removed.length > 0)
        log.info({ changed: changed.map(({ name }) => name), removed: changes.removed }, 'stream queries changed');
      for (const error of left.values()) throw error; // the next tick tries those again
    }
    if (this.#reading === reading) this.#reading = undefined;
  }

  async #refresh(): Promise<Versions> {
    const { pool, source } = this.#options;
    if (this.#versions?.epoch !== (await readEpoch(pool))) this.#versions = await source.load(pool);
    return this.#versions!;
  }

  async #follow(): Promise<void> {
    const { pool, group, follow } = this.#options;
    const [applied] = await Promise.allSettled([this.#askForTopics().then(() => this.#apply())]); // after a failure, the running versions continue
    let versions = await this.#refresh();
    if (versions.caughtUp.length > 0 && (await serveCaughtUp(pool, group))) versions = await this.#refresh();
    await follow(versions);
    if (versions.hasStarts) await forgetStarts(pool, group);
    if (applied.status === 'rejected') throw applied.reason;
  }

  #registerMetrics(): void {
    const faults = () => this.#faults;
    gauge({
      name: 'millrace_stream_query_faults',
      help: 'Mistakes in a file of stream queries; what ran of it before goes on',
      labelNames: ['file'],
      collect() {
        this.reset();
        for (const { file } of faults()) this.inc({ file: basename(file) });
      },
    });
  }
}
