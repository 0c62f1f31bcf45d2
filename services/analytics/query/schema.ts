import { Type } from 'typebox';
import type { Static } from 'typebox';

const strict = { additionalProperties: false };

const Name = Type.String({
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
  description: 'lower-case letters, digits and hyphens, 63 at most',
});

const Duration = Type.String({
  pattern: '^[0-9]+(ms|s|m|h|d)$',
  description: 'a whole number with ms, s, m, h or d',
  examples: ['30s', '5m', '1h'],
});

const Cel = (description: string) => Type.String({ minLength: 1, maxLength: 2000, description });

const Source = Type.Object(
  {
    topic: Type.String({ minLength: 1, maxLength: 249 }),
    types: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        minItems: 1,
        description: 'event types; every type of the topic where left out',
      }),
    ),
  },
  strict,
);

const Window = Type.Object(
  {
    tumbling: Type.Optional(Duration),
    hopping: Type.Optional(Type.Object({ size: Duration, advance: Duration }, strict)),
    session: Type.Optional(
      Type.String({ ...Duration, description: 'events of a key that are no further apart belong together' }),
    ),
    grace: Type.Optional(
      Type.String({ ...Duration, description: 'how long after its end a window still takes events; default 1h' }),
    ),
    retention: Type.Optional(Type.String({ ...Duration, description: 'how long windows are kept; default 7d' })),
  },
  strict,
);

const Selected = Type.Object(
  {
    name: Type.String({
      pattern: '^[a-z][A-Za-z0-9_]{0,62}$',
      description: 'the name of the figure: a letter, then letters, digits and _',
    }),
    count: Type.Optional(Type.Boolean({ description: 'true: how many events' })),
    sum: Type.Optional(Cel('a number; added up exactly')),
    min: Type.Optional(Cel('a number')),
    max: Type.Optional(Cel('a number')),
    avg: Type.Optional(Cel('a number')),
    distinct: Type.Optional(Cel('a text; how many different ones there are')),
    value: Type.Optional(Cel("a query without a window: the event's own figure")),
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
      Type.String({ ...Duration, description: 'a changed window is emitted that long after its change; default 1s' }),
    ),
  },
  strict,
);

const AlertSpec = Type.Object(
  {
    severity: Type.Enum(['info', 'warning', 'critical']),
    message: Type.String({
      minLength: 1,
      maxLength: 1000,
      description: 'text with {key}, {window}, {threshold} and {name} of a figure; {name:2} gives two decimal places',
    }),
    threshold: Type.Optional(Type.Number({ description: 'a number that `having` and `message` may name' })),
  },
  strict,
);

/** A stream query as its YAML file says it; also the JSON Schema that editors complete and check with. */
export const StreamQuerySchema = Type.Object(
  {
    apiVersion: Type.Literal('millrace.dev/v1alpha1'),
    kind: Type.Literal('StreamQuery'),
    metadata: Type.Object(
      {
        name: Name,
        labels: Type.Optional(Type.Record(Type.String(), Type.String())),
        annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
      },
      strict,
    ),
    spec: Type.Object(
      {
        from: Type.Array(Source, { minItems: 1 }),
        where: Type.Optional(Cel('keeps the events for which it is true')),
        keyBy: Type.Optional(Cel('a text; one key named all where left out')),
        timestamp: Type.Optional(Cel("the event's time; default: when it happened (ce_time)")),
        window: Type.Optional(Window),
        select: Type.Optional(
          Type.Array(Selected, { maxItems: 20, description: 'left out: only which keys occurred in a window' }),
        ),
        having: Type.Optional(Cel('over key, window, threshold and the selected names: what is emitted or alerted')),
        emit: Type.Optional(Emit),
        alert: Type.Optional(AlertSpec),
      },
      strict,
    ),
  },
  strict,
);

/** What a window has that does not say it. */
export const defaults = { grace: '1h', retention: '7d' } as const;

export type StreamQueryFile = Static<typeof StreamQuerySchema>;
export type WindowDeclaration = NonNullable<StreamQueryFile['spec']['window']>;
export type SelectedSpec = NonNullable<StreamQueryFile['spec']['select']>[number];
