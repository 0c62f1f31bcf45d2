export { backoffMs } from './backoff.ts';
export type { BackoffOptions } from './backoff.ts';
export { pause } from './pause.ts';
export { roundMs } from './round.ts';
export { runService } from './service.ts';
export { Ticker } from './ticker.ts';
export { Waker } from './waker.ts';
