// What of analytics is about orders and users; all else runs whatever queries there are.
export { domainHandlers } from './handlers.ts';
export { orderFeed as sourceFeed } from './order-feed.ts';
