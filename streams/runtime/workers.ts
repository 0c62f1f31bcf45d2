import type { Health } from '#platform/health';
import { Ticker } from '#platform/lifecycle';
import type { Logger } from '#platform/telemetry';
import type { Pool } from '#platform/postgres';
import type { Versions } from '#streams/engine';
import { cleanUp, closeDue, emitDue, forgetWindows } from '#streams/store';
import type { Round } from '#streams/store';
import { FailingQueries } from './failing-queries.ts';
import type { StreamObserver } from './observer.ts';
import type { StatusBoard } from './status.ts';

const emitEveryMs = 200;
const closeEveryMs = 2_000;
const observeEveryMs = 5_000;
const cleanEveryMs = 60_000;

export interface WorkerOptions {
  pool: Pool;
  log: Logger;
  /** of the service: it says which of this work does not go on */
  health: Health;
  versions: () => Versions;
  observer: StreamObserver;
  board: Pick<StatusBoard, 'sample'>;
  /** called when events have been written to the outbox */
  onEmitted: () => void;
}

interface Work {
  name: string;
  everyMs: number;
  run: () => Promise<boolean | void>;
  /** throws while a part of it fails that stops nothing else */
  check?: () => void;
}

/** The periodic work: emitting changed windows, closing windows, measuring, and deleting old rows. */
export function createWorkers({ pool, log, health, versions, observer, board, onEmitted }: WorkerOptions): Ticker[] {
  const emitting = new FailingQueries('emitted', log);
  const closing = new FailingQueries('closed', log);
  const finish = (failing: FailingQueries, round: Round): boolean => {
    if (round.emitted > 0) onEmitted();
    failing.note(round);
    return round.more;
  };
  const works: Work[] = [
    {
      name: 'emit changed windows',
      everyMs: emitEveryMs,
      run: async () => finish(emitting, await emitDue(pool, versions(), emitting.ids)),
      check: () => emitting.check(),
    },
    {
      name: 'close windows',
      everyMs: closeEveryMs,
      run: async () => {
        const observation = await observer.observe();
        return observation !== undefined && finish(closing, await closeDue(pool, versions().serving, observation));
      },
      check: () => closing.check(),
    },
    {
      name: 'measure lag and rates',
      everyMs: observeEveryMs,
      run: async () => {
        await observer.refresh();
        await board.sample();
      },
      check: () => observer.check(),
    },
    {
      name: 'delete old rows',
      everyMs: cleanEveryMs,
      run: async () => {
        let more = false;
        try {
          const observation = await observer.observe();
          if (observation) await forgetWindows(pool, versions().serving, observation);
        } finally {
          more = await cleanUp(pool); // other rows do not wait for it
        }
        return more;
      },
    },
  ];
  return works.map(({ check, ...work }) => {
    const ticker = new Ticker({ ...work, log });
    health.addWork(work.name, () => {
      ticker.check();
      check?.();
    });
    return ticker;
  });
}
