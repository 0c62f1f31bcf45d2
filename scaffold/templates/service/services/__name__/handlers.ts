import type { __Entity__, __camel__ } from '#contracts/__name__.ts';
import { defaultLimit } from '#platform/contract';
import type { Handlers } from '#platform/http';
import { nextPage, notFound } from '#platform/http';
import type { __Entity__Row, __Entity__Store } from './store.ts';

/** The operations of the contract. `wakeRelay` is called after each commit that left an event in the outbox. */
export function createHandlers(
  store: __Entity__Store,
  wakeRelay: () => void,
): Handlers<typeof __camel__.operations> {
  return {
    async create__Entity__({ body }) {
      const row = await store.create(body);
      wakeRelay();
      return { status: 201, headers: { Location: `/__name__/${row.id}` }, body: present(row) };
    },
    async list__Pascal__({ query: { limit = defaultLimit, cursor = '0' } }) {
      const rows = await store.list(cursor, limit + 1);
      const page = rows.slice(0, limit);
      const next = rows.length > limit ? page.at(-1)?.id : undefined;
      return { headers: nextPage('/__name__', { limit }, next), body: page.map(present) };
    },
    async get__Entity__({ params: { id } }) {
      const row = await store.find(id);
      if (!row) throw notFound(`There is no __entity__ ${id}`);
      return { body: present(row) };
    },
    //? consumes
    async list__Pascal__LatestEvents({ query: { limit = defaultLimit } }) {
      const rows = await store.latestEvents(limit);
      return { body: rows.map((row) => ({ ...row, time: row.time.toISOString() })) };
    },
    //? end
  };
}

/** One of __name__ in the form of the contract. */
function present({ id, name, createdAt }: __Entity__Row): __Entity__ {
  return { id: Number(id), name, createdAt: createdAt.toISOString() };
}
