/** How a stream query is doing, as its runtime reports it over HTTP and the operator reads it. */
export interface QueryStatus {
  query: string;
  /** goes up when the windows begin anew; 0 where the query has never run */
  version: number;
  /** SHA-256 of the text of the file that this version follows */
  definition?: string;
  state: 'Running' | 'Waiting' | 'Failed';
  sources: string[];
  window: string | null;
  /** events not yet counted */
  lag: number;
  watermark: string | null;
  eventsPerSecond: number;
  /** events that came after the grace of their window and were dropped */
  lateEvents: number;
  /** events that the query has no result for, such as those that lack a field */
  failedEvents: number;
  /** the version that replaces this one when it has caught up */
  building?: {
    version: number;
    definition?: string;
    /** percent of the events of its topics */
    progress: number;
    eventsLeft: number;
  };
  /** mistakes in the file of the query, with their lines; the version that ran before goes on */
  faults?: string[];
}
