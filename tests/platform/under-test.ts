import type { ReceivedSpan } from '#test/otlp.ts';

/** The running platform of the suites in this folder; set before they run. */
export interface PlatformUnderTest {
  gateway: string;
  users: string;
  orders: string;
  notifications: string;
  analytics: string;
  /** the page and API of the embedded mail server */
  mail: string;
  brokers: string;
  /** the connection string of PostgreSQL's superuser */
  postgres: string;
  /** every span that the services have exported so far */
  spans: ReceivedSpan[];
}
