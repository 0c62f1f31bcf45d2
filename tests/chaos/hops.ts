/** What each hop has at the end of a run, without a word on how it was read. */
export interface Hops {
  aggregates: Aggregates[];
  /** The records of all topics of aggregates, in the order of their partitions. */
  records: TopicRecord[];
  /** The figures of the stream queries by name, summed over their windows: see `figuresOf`. */
  figures: ReadonlyMap<string, number>;
  notifications: { eventId: string; status: string; error: string | null }[];
  /** The event of each mail that the mail server took. */
  mails: string[];
  deadLetters: DeadLetter[];
  /** The topics that were deleted and created again: their first records are gone. */
  recreated: ReadonlySet<string>;
}

/** A kind of aggregate, such as orders. */
export interface Aggregates {
  name: string;
  topic: string;
  /** The write model, by key. */
  state: ReadonlyMap<string, State>;
  /** The event store. */
  events: StoredEvent[];
  /** The tables that consumers keep, by the consumer's hop. */
  readModels: ReadonlyMap<string, ReadonlyMap<string, State>>;
}

/** What two hops can compare of an aggregate: a field that one of them does not keep is not compared. */
export interface State {
  version: number;
  status?: string;
  isDeleted?: boolean;
}

export type Data = Record<string, unknown>;

export interface StoredEvent {
  id: string;
  key: string;
  version: number;
  type: string;
  data: Data;
}

/** Where a record is in the log. */
export interface Place {
  topic: string;
  partition: number;
  offset: number;
}

/** With the key and the event id of its record, as far as they could be read. */
export interface DeadLetter extends Place {
  group: string;
  key: string | null;
  id: string | null;
  reason: string;
}

export interface TopicRecord extends Place {
  key: string | null;
  /** `ce_id` and `ce_type`. */
  id: string | undefined;
  type: string | undefined;
  data: Data | undefined;
}

/** The keys of records that a fault wrote. */
export const foreignKey = 'foreign-';
/** The ids of those among them that are events, which take effect like others. */
export const foreignEvent = 'foreign-event-';

/** What is wrong. `hop` names where it shows first. */
export interface Finding {
  kind: 'lost' | 'doubled' | 'reordered';
  hop: string;
  what: string;
}
