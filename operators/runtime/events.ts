import { randomBytes } from 'node:crypto';
import type { Api } from './api.ts';
import { microTime } from './clock.ts';
import type { Clock } from './clock.ts';
import { isNotFound } from './errors.ts';
import type { Log } from './log.ts';
import type { KubeObject, ResourceType } from './objects.ts';

export const eventType: ResourceType = {
  group: 'events.k8s.io',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
};

/** The content of an Event, which `kubectl describe` and `kubectl get events` show. */
interface EventDetails {
  type: 'Normal' | 'Warning';
  /** CamelCase: why it happened */
  reason: string;
  /** CamelCase: what the controller did */
  action: string;
  /** for people */
  note: string;
}

interface EventRecorderOptions {
  api: Api;
  clock: Clock;
  log: Log;
  /** the name of the controller, such as `millrace.dev/operator` */
  controller: string;
  /** the name of the process */
  instance: string;
  /** the namespace of the process: it takes the Events of objects whose own one takes none any more */
  ownNamespace: string;
}

interface Series {
  name: string;
  count: number;
  lastAt: number;
}

/** Equal events within this time become one Event with a count. */
const seriesMs = 10 * 60_000;
const maxSeries = 4_096;
const maxNote = 1_024;

/** Writes Events, which are for people. No code depends on them, so that a failure to write one is only logged. */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #series = new Map<string, Series>();
  /** the writes happen one after the other: the second event of a series needs the name of the first */
  #writing: Promise<void> = Promise.resolve();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  /**
   * Writes the Event in the background.
   * @param isGoing whether the namespace of the object is being deleted: such a one takes nothing new
   */
  record(object: KubeObject, details: EventDetails, { isGoing = false }: { isGoing?: boolean } = {}): void {
    const namespace = isGoing ? this.#options.ownNamespace : (object.metadata.namespace ?? 'default');
    this.#writing = this.#writing.then(() => this.#record(object, details, namespace));
  }

  /** Resolves when every Event recorded so far is written. */
  flush(): Promise<void> {
    return this.#writing;
  }

  async #record(object: KubeObject, details: EventDetails, namespace: string): Promise<void> {
    const { api, clock, log } = this.#options;
    const now = clock.now();
    const key = [object.metadata.uid, details.type, details.reason, details.action, details.note].join('\0');
    const known = this.#series.get(key);
    try {
      if (known && now - known.lastAt < seriesMs) {
        const series = { count: known.count + 1, lastObservedTime: microTime(now) };
        await api.patch(eventType, namespace, known.name, { series });
        this.#remember(key, { name: known.name, count: series.count, lastAt: now });
        return;
      }
      const name = `${object.metadata.name.slice(0, 200)}.${randomBytes(8).toString('hex')}`;
      await api.create(eventType, this.#eventOf(object, details, namespace, name, now));
      this.#remember(key, { name, count: 1, lastAt: now });
    } catch (error) {
      if (isNotFound(error)) this.#series.delete(key); // the server has deleted the Event
      log.warn({ err: error, reason: details.reason, object: object.metadata.name }, 'an event cannot be written');
    }
  }

  #eventOf(object: KubeObject, details: EventDetails, namespace: string, name: string, now: number): KubeObject {
    const { apiVersion, kind, metadata } = object;
    const regarding = {
      apiVersion,
      kind,
      name: metadata.name,
      namespace: metadata.namespace,
      uid: metadata.uid,
      resourceVersion: metadata.resourceVersion,
    };
    const event = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { namespace, name },
      eventTime: microTime(now),
      reportingController: this.#options.controller,
      reportingInstance: this.#options.instance.slice(0, 128),
      regarding,
      ...details,
      note: details.note.slice(0, maxNote),
    };
    return event;
  }

  #remember(key: string, series: Series): void {
    this.#series.delete(key);
    this.#series.set(key, series);
    const oldest = this.#series.keys().next().value;
    if (this.#series.size > maxSeries && oldest !== undefined) this.#series.delete(oldest);
  }
}
