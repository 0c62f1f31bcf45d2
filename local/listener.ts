/** Gets the messages of the start and the run. */
export interface Listener {
  say(level: 'info' | 'warn' | 'error', line: string): void;
  /** A line that a service wrote. */
  line(service: string, line: string): void;
}
