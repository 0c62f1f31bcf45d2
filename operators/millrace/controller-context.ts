import type { Api } from '#runtime/api.ts';
import type { Applier } from '#runtime/apply.ts';
import type { Clock } from '#runtime/clock.ts';
import type { EventRecorder } from '#runtime/events.ts';
import type { Log } from '#runtime/log.ts';
import type { Informers } from './informers.ts';

/** What every controller works with: the API, and a cache of each kind that the operator watches. */
export interface ControllerContext extends Informers {
  api: Api;
  applier: Applier;
  events: EventRecorder;
  clock: Clock;
  log: Log;
}
