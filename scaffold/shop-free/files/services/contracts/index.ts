import { collectContracts, contractDecoder } from '#platform/contract';
import type { EventDataOf } from '#platform/contract';
import { analytics } from './analytics.ts';

/** All contracts: a service in this list has its routes, its topics and its operations in the documents. */
export const contracts = collectContracts(
  { title: 'Millrace', description: 'The services of an event-driven platform.' },
  [analytics],
);

/** Reads an event and checks its data against these contracts. */
export const decodeEvent = contractDecoder(contracts.events);

/** The data of each event by its type. */
export type EventData = EventDataOf<typeof analytics>;
