export { LookupCache } from './lookup-cache.ts';
export { Rebuilder } from './rebuild/rebuilder.ts';
export { VersionWaiter } from './version-waiter.ts';
