import type { Actor } from './actor.ts';

/** A call of an actor to a server: the scheduler decides when it takes effect, whether it does, and what the actor learns. */
export interface Call<T> {
  /** what is asked for, in one line */
  what: string;
  server: 'PostgreSQL' | 'Kafka';
  /** what the server does */
  effect: () => Promise<T>;
  /** the error where the connection is lost, and what happens to the connection then */
  lose: () => Error;
  /** the actor gets `lose` after this time, in milliseconds; the server may go on */
  timeoutMs: number;
  /** makes the statement fail at the server, which answers */
  fail?: ((code: string) => Promise<unknown>) | undefined;
  /** whether the server could do it twice */
  isRepeatable?: boolean;
  /** whether the server waits for something that another session has */
  isBlocked?: (() => Promise<boolean>) | undefined;
  /** called when the server has ended it and nobody waits for it any more */
  abandoned?: () => void;
}

/** What becomes of a call. */
export type Fate = 'go' | 'lost' | 'unanswered' | 'late' | 'failed' | 'repeated' | 'crash-before' | 'crash-after';

export const faults: readonly Exclude<Fate, 'go'>[] = [
  'lost',
  'unanswered',
  'late',
  'failed',
  'repeated',
  'crash-before',
  'crash-after',
];

/** Codes of PostgreSQL that are nobody's fault: cancelled, deadlock, serialization, lock not available. */
export const innocentCodes = ['57014', '40P01', '40001', '55P03'];

/** For people. */
export const shown = ({ what }: Call<unknown>) => what.slice(0, 60);

/** An outage: the calls that it concerns get this fate. */
export interface Outage {
  until: number;
  fateOf: (call: Call<unknown>, actor: Actor) => { fate: Fate; code?: string } | undefined;
}
