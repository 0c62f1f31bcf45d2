import type { Run } from '#test/npm-start.ts';

/** A platform that `npm start` runs from a separate clone. */
export interface StartedPlatform {
  clone: string;
  data: string;
  run(): Run;
  /** The address of a service. */
  url(service: string): string;
  /** The address of the mail page. */
  mail(): string;
  servicePid(service: string): number;
}
