/** Told what happens while something starts and runs. */
export interface Listener {
  say(level: 'info' | 'warn' | 'error', line: string): void;
  /** A line that a service wrote. */
  line(service: string, line: string): void;
}
