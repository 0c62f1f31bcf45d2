import type { ReceivedSpan } from '#test/otlp.ts';

/** The running platform that the suites of this folder share; filled in before they run. */
export interface PlatformUnderTest {
  gateway: string;
  users: string;
  orders: string;
  notifications: string;
  analytics: string;
  /** the page and API of the embedded mail server */
  mail: string;
  /** every span that the services have exported so far */
  spans: ReceivedSpan[];
}
