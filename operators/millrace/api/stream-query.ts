import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Resource } from '#runtime/objects.ts';
import { labelNameRule, rules, topicNameRule } from '#platform/declaration-schema';
import { StreamQuerySchema } from '#streams/language';
import type { StreamQueryFile } from '#streams/language';
import { Conditions, Count, ObservedGeneration, Time } from './common.ts';
import type { KindDefinition } from './common.ts';

/** The name of the member `on` where it was not quoted: Kubernetes reads YAML 1.1, in which `on` is true. */
export const unquotedOn = 'true';

const { spec } = StreamQuerySchema.properties;
const { emit } = spec.properties;

/** The spec of the file, in which `on` may also stand without quotes. */
const StreamQuerySpec = {
  ...spec,
  properties: {
    ...spec.properties,
    emit: {
      ...emit,
      properties: {
        ...emit.properties,
        [unquotedOn]: {
          ...emit.properties.on,
          description: 'The member on, as kubectl and Helm read it without quotes',
        },
      },
      ...rules(topicNameRule('self.to')),
    },
  },
};

export type StreamQuerySpec = StreamQueryFile['spec'] & {
  emit?: NonNullable<StreamQueryFile['spec']['emit']> & { [unquotedOn]?: 'change' | 'close' };
};

export const StreamQueryStatus = Type.Object({
  observedGeneration: Type.Optional(ObservedGeneration),
  conditions: Type.Optional(Conditions),
  version: Type.Optional(Type.Integer({ description: 'Version of the windows; it increases when they begin anew' })),
  lag: Type.Optional(Count('Events not yet counted')),
  watermark: Type.Optional(Time('Watermark at the last event: the query has seen all events before this time')),
  eventsPerSecond: Type.Optional(Type.String({ description: 'Events a second over the last minute' })),
  lateEvents: Type.Optional(Count('Events that came after the grace of their window')),
  failedEvents: Type.Optional(Count('Events that the query has no result for')),
  building: Type.Optional(
    Type.Object(
      {
        version: Type.Integer({ description: 'Version of the windows that analytics builds' }),
        progress: Type.String({ description: 'Share of the events that it has handled, such as 42%' }),
        eventsLeft: Count('Events that it has not handled yet'),
      },
      { description: 'The version that replaces the one in use when it has caught up' },
    ),
  ),
});
export type StreamQueryStatus = Static<typeof StreamQueryStatus>;
export type StreamQuery = Resource<StreamQuerySpec, StreamQueryStatus>;

export const streamQueryDefinition: KindDefinition = {
  kind: 'StreamQuery',
  plural: 'streamqueries',
  shortNames: ['sq'],
  description: 'A windowed query over topics',
  rules: [labelNameRule],
  // the parser of the language checks the rest, and the status says what is wrong
  spec: StreamQuerySpec,
  status: StreamQueryStatus,
  columns: [
    { name: 'Version', type: 'integer', jsonPath: '.status.version', description: 'Version of the windows' },
    {
      name: 'Building',
      type: 'string',
      jsonPath: '.status.building.progress',
      description: 'Progress of the next version',
    },
    { name: 'Lag', type: 'integer', jsonPath: '.status.lag', description: 'Events not yet counted' },
    { name: 'Rate', type: 'string', jsonPath: '.status.eventsPerSecond', description: 'Events a second' },
    {
      name: 'Watermark',
      type: 'string',
      jsonPath: '.status.watermark',
      description: 'Time up to which all events are seen',
    },
    {
      name: 'Late',
      type: 'integer',
      jsonPath: '.status.lateEvents',
      description: 'Events that came too late',
      priority: 1,
    },
    {
      name: 'Unusable',
      type: 'integer',
      jsonPath: '.status.failedEvents',
      description: 'Events without a result',
      priority: 1,
    },
  ],
};
