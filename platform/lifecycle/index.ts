export { roundMs } from './round.ts';
export { runService } from './service.ts';
export { Ticker } from './ticker.ts';
