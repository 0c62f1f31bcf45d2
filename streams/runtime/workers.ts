import type { Logger } from '#platform/telemetry';
import type { Pool } from '#platform/postgres';
import type { Versions } from '#streams/engine';
import { cleanUp, closeDue, emitDue } from '#streams/store';
import type { StreamObserver } from './observer.ts';
import type { StatusBoard } from './status.ts';
import { Ticker } from '#platform/lifecycle';

const emitEveryMs = 200;
const closeEveryMs = 2_000;
const observeEveryMs = 5_000;
const cleanEveryMs = 60_000;

export interface WorkerOptions {
  pool: Pool;
  log: Logger;
  versions: () => Versions;
  observer: StreamObserver;
  board: Pick<StatusBoard, 'sample'>;
  /** called when events have been written to the outbox */
  onEmitted: () => void;
}

/** The periodic work: emitting changed windows, closing windows, measuring, and deleting old rows. */
export function createWorkers({ pool, log, versions, observer, board, onEmitted }: WorkerOptions): Ticker[] {
  const work: [name: string, everyMs: number, run: () => Promise<boolean | void>][] = [
    [
      'emit changed windows',
      emitEveryMs,
      async () => {
        const { emitted, more } = await emitDue(pool, versions());
        if (emitted > 0) onEmitted();
        return more;
      },
    ],
    [
      'close windows',
      closeEveryMs,
      async () => {
        const observation = await observer.observe();
        if (!observation) return false;
        const { emitted, more } = await closeDue(pool, versions().serving, observation);
        if (emitted > 0) onEmitted();
        return more;
      },
    ],
    [
      'measure lag and rates',
      observeEveryMs,
      async () => {
        await observer.refresh();
        await board.sample();
      },
    ],
    ['delete old rows', cleanEveryMs, () => cleanUp(pool)],
  ];
  return work.map(([name, everyMs, run]) => new Ticker({ name, everyMs, log, run }));
}
