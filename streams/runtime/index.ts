export { lazyDecoder } from './accumulation.ts';
export { Backfill, sessionMs } from './backfill.ts';
export { Engine } from './engine.ts';
export { LiveQueries } from './live-queries.ts';
export { StreamObserver } from './observer.ts';
export { StatusBoard } from './status.ts';
export { createWorkers } from './workers.ts';
