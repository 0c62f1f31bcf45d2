import { consumerOperations, defaultLimit } from '#platform/contract';
import type { DeadLetterFilter, DeadLetterJob } from '#platform/contract';
import { conflict, nextPage, notFound } from '#platform/http';
import type { Handlers, HttpPart, Reply } from '#platform/http';
import type { Kafka } from '#platform/kafka';
import type { Pool } from '#platform/postgres';
import { getDeadLetter, getJob, listDeadLetters, OtherCount, requestAction } from './dead-letters.ts';
import type { Action } from './dead-letters.ts';
import { listOffsets } from './offsets.ts';

export interface ConsumerPartOptions {
  group: string;
  topics: readonly string[];
  /** the database of the effects, as the inbox has it */
  pool: Pool;
  kafka: Pick<Kafka, 'admin'>;
}

/** The operations on the dead letters and offsets of a service that consumes. */
export function consumerPart(options: ConsumerPartOptions): HttpPart {
  const { pool } = options;

  async function act(action: Action, id: string): Promise<Reply> {
    try {
      return accepted(await requestAction(pool, action, { id }, 1));
    } catch (error) {
      if (!(error instanceof OtherCount)) throw error;
      const letter = await getDeadLetter(pool, id);
      if (!letter) throw notFound(`There is no dead letter ${id}`);
      throw conflict(`The dead letter ${id} is ${letter.state}`);
    }
  }

  async function actOnAll(action: Action, filter: DeadLetterFilter, expected: number): Promise<Reply> {
    try {
      return accepted(await requestAction(pool, action, filter, expected));
    } catch (error) {
      if (!(error instanceof OtherCount)) throw error;
      const { count } = error;
      throw conflict(
        `The filter selects ${count} dead letters in the state ${filter.state ?? 'OPEN'}, not ${expected}: nothing was done`,
      );
    }
  }

  const handlers: Handlers<typeof consumerOperations.operations> = {
    async listDeadLetters({ query: { limit = defaultLimit, cursor, ...filter } }) {
      const letters = await listDeadLetters(pool, filter, { before: cursor, limit: limit + 1 });
      const page = letters.slice(0, limit);
      const next = letters.length > limit ? page.at(-1)?.id : undefined;
      return { body: page, headers: nextPage('/dead-letters', { ...filter, limit }, next) };
    },
    async getDeadLetter({ params: { id } }) {
      const letter = await getDeadLetter(pool, id);
      if (!letter) throw notFound(`There is no dead letter ${id}`);
      return { body: letter };
    },
    async getDeadLetterJob({ params: { id } }) {
      const job = await getJob(pool, id);
      if (!job) throw notFound(`There is no job ${id}`);
      return { body: job };
    },
    replayDeadLetter: ({ params: { id } }) => act('REPLAY', id),
    discardDeadLetter: ({ params: { id } }) => act('DISCARD', id),
    replayDeadLetters: ({ query, body: { expected, ...filter } }) =>
      actOnAll('REPLAY', { ...query, ...filter }, expected),
    discardDeadLetters: ({ query, body: { expected, ...filter } }) =>
      actOnAll('DISCARD', { ...query, ...filter }, expected),
    listOffsets: async () => ({ body: await listOffsets(options) }),
  };
  return { operations: consumerOperations.operations, handlers: handlers as HttpPart['handlers'] };
}

function accepted(job: DeadLetterJob): Reply {
  return { status: 202, body: job, headers: { Location: `/dead-letters/jobs/${job.id}` } };
}
