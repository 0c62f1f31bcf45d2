import { database } from './list/database.ts';
import { inbox } from './list/inbox.ts';
import { kafka } from './list/kafka.ts';
import { outbox } from './list/outbox.ts';
import { services } from './list/services.ts';
import { streams } from './list/streams.ts';
import type { Mutant } from './mutant.ts';

/** All mutants, in the order in which they are tried. */
export const mutants: readonly Mutant[] = [outbox, kafka, inbox, database, streams, services].flat();
