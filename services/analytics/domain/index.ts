// The part of analytics about orders and users; the other parts run any queries.
export { domainHandlers } from './handlers.ts';
export { orderFeed as sourceFeed } from './order-feed.ts';
