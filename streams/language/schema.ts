import { Type } from 'typebox';
import type { Static } from 'typebox';
import { keyedBy } from '#platform/declaration-schema';
import { durationPattern } from '#platform/declarations';
import { severities } from '#streams/contract';

const strict = { additionalProperties: false };

const Name = Type.String({
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
  description: 'the name of the query: lower-case letters, digits and hyphens, 63 at most',
});

const Duration = (description: string) =>
  Type.String({ pattern: durationPattern, description, examples: ['30s', '5m', '1h', '7d'] });

const Cel = (description: string) => Type.String({ minLength: 1, maxLength: 2000, description });

const Source = Type.Object(
  {
    topic: Type.String({ minLength: 1, maxLength: 249, description: 'a topic that a service declares' }),
    types: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 200 }), {
        minItems: 1,
        maxItems: 50,
        description: 'event types; every type of the topic where left out',
        'x-kubernetes-list-type': 'set',
      }),
    ),
  },
  strict,
);

const Window = Type.Object(
  {
    tumbling: Type.Optional(Duration('the size of windows that follow each other, aligned to 1970-01-01T00:00:00Z')),
    hopping: Type.Optional(
      Type.Object(
        {
          size: Duration('how long a window is'),
          advance: Duration('how far apart windows start, at most their size'),
        },
        { ...strict, description: 'windows that overlap, aligned to 1970-01-01T00:00:00Z' },
      ),
    ),
    session: Type.Optional(
      Duration('the gap: events of a key that are no further apart belong to one window, which grows with them'),
    ),
    grace: Type.Optional(Duration('how long after its end a window still takes events; default 1h')),
    retention: Type.Optional(Duration("how long windows are kept, in the stream's own time; default 7d")),
  },
  { ...strict, description: 'exactly one of tumbling, hopping and session; left out: every event stands for itself' },
);

const Selected = Type.Object(
  {
    name: Type.String({
      pattern: '^[a-z][A-Za-z0-9_]{0,62}$',
      description: 'the name of the aggregate: a letter, then letters, digits and _',
    }),
    count: Type.Optional(Type.Boolean({ description: 'true: how many events' })),
    sum: Type.Optional(Cel('a number: added up, exactly')),
    min: Type.Optional(Cel('a number: the minimum')),
    max: Type.Optional(Cel('a number: the maximum')),
    avg: Type.Optional(Cel('a number: the average, rounded to `scale`')),
    distinct: Type.Optional(Cel('a text: how many different ones there are')),
    value: Type.Optional(Cel('a query without a window: a value of the event itself')),
    scale: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 18, description: 'avg: decimal places, rounded half up; default 6' }),
    ),
    exactUpTo: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 10_000,
        description: 'distinct: up to how many a window counts exactly, beyond it with an error of 1.6 %; default 1000',
      }),
    ),
  },
  strict,
);

const Emit = Type.Object(
  {
    to: Type.String({ minLength: 1, maxLength: 249, description: 'a topic' }),
    on: Type.Optional(
      Type.Enum(['change', 'close'], {
        description: 'change (default): while a window changes; close: once, when its grace has passed',
      }),
    ),
    every: Type.Optional(
      Duration('on: change: a window is emitted that long after its first change since the last time; default 1s'),
    ),
  },
  { ...strict, description: 'where results go; left out: windows are only kept, to be read over HTTP' },
);

const AlertSpec = Type.Object(
  {
    severity: Type.Enum(severities, { description: 'how much it matters' }),
    message: Type.String({
      minLength: 1,
      maxLength: 1000,
      description:
        'text with {key}, {window}, {threshold} and {name} of an aggregate; {name:2} gives two decimal places',
    }),
    threshold: Type.Optional(Type.Number({ description: 'a number that `having` and `message` may name' })),
  },
  { ...strict, description: 'makes what is emitted an alert, raised once for each window or event' },
);

/** The schema of a stream query's YAML file; also the JSON Schema for editors. */
export const StreamQuerySchema = Type.Object(
  {
    apiVersion: Type.Enum(['millrace.dev/v1beta1', 'millrace.dev/v1alpha1'], {
      description: 'the version of the language; v1alpha1 is deprecated, and means the same',
    }),
    kind: Type.Literal('StreamQuery', { description: 'what the file declares' }),
    metadata: Type.Object(
      {
        name: Name,
        labels: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'as Kubernetes has them' })),
        annotations: Type.Optional(
          Type.Record(Type.String(), Type.String(), { description: 'as Kubernetes has them' }),
        ),
      },
      { ...strict, description: 'what the query is called' },
    ),
    spec: Type.Object(
      {
        from: Type.Array(Source, {
          minItems: 1,
          maxItems: 20,
          description: 'the topics that are read, each once',
          ...keyedBy('topic'),
        }),
        where: Type.Optional(Cel('keeps the events for which it is true')),
        keyBy: Type.Optional(Cel('a text; one key named all where left out')),
        timestamp: Type.Optional(Cel("the event's time; default: when it happened (ce_time)")),
        window: Type.Optional(Window),
        select: Type.Optional(
          Type.Array(Selected, {
            maxItems: 20,
            description: 'left out: only which keys occurred in a window',
            ...keyedBy('name'),
          }),
        ),
        having: Type.Optional(Cel('over key, window, threshold and the selected names: what is emitted or alerted')),
        emit: Type.Optional(Emit),
        alert: Type.Optional(AlertSpec),
      },
      { ...strict, description: 'the query' },
    ),
  },
  {
    ...strict,
    title: 'StreamQuery',
    description: 'A stream query: what is computed of events, in windows of their time',
  },
);

/** The defaults of a window. */
export const defaults = { grace: '1h', retention: '7d' } as const;

export type StreamQueryFile = Static<typeof StreamQuerySchema>;
export type WindowDeclaration = NonNullable<StreamQueryFile['spec']['window']>;
export type SelectedSpec = NonNullable<StreamQueryFile['spec']['select']>[number];
