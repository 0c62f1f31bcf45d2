import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Resource } from '#runtime/objects.ts';
import { StreamQuerySchema } from '#streams/language';
import type { StreamQueryFile } from '#streams/language';
import { Conditions, Count, ObservedGeneration, Time } from './common.ts';
import type { KindDefinition } from './common.ts';

/** What `on` is called where Kubernetes has read it unquoted: YAML 1.1 takes it for true. */
export const unquotedOn = 'true';

const { spec } = StreamQuerySchema.properties;
const { emit } = spec.properties;

/** As the file has it, and so that `on: close` means the same with and without quotes. */
const StreamQuerySpec = {
  ...spec,
  properties: {
    ...spec.properties,
    emit: {
      ...emit,
      properties: {
        ...emit.properties,
        [unquotedOn]: { ...emit.properties.on, description: 'on, as kubectl and Helm read it where it is not quoted' },
      },
    },
  },
};

export type StreamQuerySpec = StreamQueryFile['spec'] & {
  emit?: NonNullable<StreamQueryFile['spec']['emit']> & { [unquotedOn]?: 'change' | 'close' };
};

export const StreamQueryStatus = Type.Object({
  observedGeneration: Type.Optional(ObservedGeneration),
  conditions: Type.Optional(Conditions),
  state: Type.Optional(Type.String({ description: 'What analytics says of it: Running, Waiting or Failed' })),
  version: Type.Optional(Type.Integer({ description: 'Goes up when its windows begin anew' })),
  lag: Type.Optional(Count('Events not yet counted')),
  watermark: Type.Optional(Time('Up to when it had seen everything, at its last event')),
  eventsPerSecond: Type.Optional(Type.String({ description: 'Events a second over the last minute' })),
  lateEvents: Type.Optional(Count('Events that came after the grace of their window')),
  failedEvents: Type.Optional(Count('Events that it has no result for')),
  building: Type.Optional(
    Type.Object(
      {
        version: Type.Integer({ description: 'Of the windows that are built' }),
        progress: Type.String({ description: 'How much of the events it has, such as 42%' }),
        eventsLeft: Count('Events that it still has to read'),
      },
      { description: 'The version that takes the place of the one in use when it has caught up' },
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
  // its own parser refuses what it does not understand, and says why in the status
  spec: StreamQuerySpec,
  status: StreamQueryStatus,
  columns: [
    { name: 'Version', type: 'integer', jsonPath: '.status.version', description: 'Of its windows' },
    { name: 'Building', type: 'string', jsonPath: '.status.building.progress', description: 'Of the next version' },
    { name: 'Lag', type: 'integer', jsonPath: '.status.lag', description: 'Events not yet counted' },
    { name: 'Rate', type: 'string', jsonPath: '.status.eventsPerSecond', description: 'Events a second' },
    { name: 'Watermark', type: 'string', jsonPath: '.status.watermark', description: 'Seen everything up to' },
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
