import { Type } from 'typebox';
import type { Static } from 'typebox';
import { defineContract, EventTime, Id, Page, pageHeaders, PathId, Text, Time } from '#platform/contract';

export const __Entity__Input = Type.Object(
  { name: Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000-\\u001f\\u007f]+$' }) },
  { additionalProperties: false, examples: [{ name: 'Pocket watch' }] },
);
export type __Entity__Input = Static<typeof __Entity__Input>;

export const __Entity__ = Type.Object({ id: Id, name: Type.String(), createdAt: Time });
export type __Entity__ = Static<typeof __Entity__>;

const __Entity__Created = Type.Object({ __entityCamel__Id: Id, name: Text(), createdAt: EventTime });
//? consumes

/** The latest event of an aggregate of a topic that __name__ consumes. */
const __Pascal__LatestEvent = Type.Object({
  topic: Type.String(),
  key: Type.String(),
  eventId: Type.String(),
  type: Type.String(),
  time: Time,
});
//? end

/** The contract of __name__. */
export const __camel__ = defineContract('__name__', {
  schemas: {
    __Entity__,
    __Entity__Input,
    //? consumes
    __Pascal__LatestEvent,
    //? end
  },
  events: {
    '__entity__.created': {
      summary: 'One of __name__ was created',
      topics: ['__topic__'],
      schema: __Entity__Created,
    },
  },
  operations: {
    create__Entity__: {
      method: 'post',
      path: '/__name__',
      summary: 'Create one of __name__',
      body: __Entity__Input,
      responses: { 201: { description: 'The new one', schema: __Entity__, headers: { Location: 'where it is' } } },
    },
    list__Pascal__: {
      method: 'get',
      path: '/__name__',
      summary: 'List __name__, oldest first',
      query: Type.Object({ ...Page }),
      responses: { 200: { description: 'A page', schema: Type.Array(__Entity__), headers: pageHeaders } },
    },
    get__Entity__: {
      method: 'get',
      path: '/__name__/{id}',
      summary: 'Read one of __name__',
      params: Type.Object({ id: PathId }),
      responses: { 200: { description: 'The one', schema: __Entity__ } },
      problems: { 404: 'No such one' },
    },
    //? consumes
    list__Pascal__LatestEvents: {
      method: 'get',
      path: '/__name__/latest-events',
      summary: 'The latest event of each aggregate that __name__ consumes, newest first',
      query: Type.Object({ limit: Page.limit }),
      responses: { 200: { description: 'Events', schema: Type.Array(__Pascal__LatestEvent) } },
    },
    //? end
  },
});
