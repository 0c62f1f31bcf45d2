import { Type } from 'typebox';
import type { TSchema } from 'typebox';

export const group = 'millrace.dev';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;

/** A CEL rule that the API server checks. */
interface Rule {
  rule: string;
  message: string;
}

/** Rules over a schema, which the API server evaluates at each create and update. */
export const rules = (...list: Rule[]) => ({ 'x-kubernetes-validations': list });

/** A list whose items have a key, so that several field managers can own different items. */
export const keyedBy = (key: string) => ({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] });

/** A rule that refuses any change of a value. */
export const immutable = (message: string) => rules({ rule: 'self == oldSelf', message });

export const Name = (description: string) =>
  Type.String({ pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$', maxLength: 63, description });

export const Topic = (description: string) =>
  Type.String({ pattern: '^[A-Za-z0-9._-]+$', minLength: 1, maxLength: 249, description });

export const ConsumerGroup = (description: string) =>
  Type.String({ pattern: '^[A-Za-z0-9._-]+$', minLength: 1, maxLength: 200, description });

export const Duration = (description: string) =>
  Type.String({
    pattern: '^[0-9]+(ms|s|m|h|d)$',
    maxLength: 20,
    description: `${description}: a whole number with ms, s, m, h or d`,
  });

export const Time = (description: string) => Type.String({ format: 'date-time', description });

export const Count = (description: string) => Type.Integer({ minimum: 0, description });

export const Conditions = Type.Array(
  Type.Object({
    type: Type.String({ description: 'Type of the condition' }),
    status: Type.Enum(['True', 'False', 'Unknown']),
    reason: Type.String({ description: 'Why, as one word' }),
    message: Type.String({ description: 'Why, for people' }),
    lastTransitionTime: Type.String({
      format: 'date-time',
      description: 'When the status of the condition changed last',
    }),
    observedGeneration: Type.Optional(
      Type.Integer({ description: 'Generation of the spec that the condition is about' }),
    ),
  }),
  { description: 'Conditions; Ready sums the others up', ...keyedBy('type') },
);

export const ObservedGeneration = Type.Integer({ description: 'Generation of the spec that the status is about' });

export const Ttl = Type.Integer({
  minimum: 0,
  description: 'Seconds after which the finished resource is deleted; without it the resource stays',
});

/** A column of `kubectl get`. */
interface Column {
  name: string;
  type: 'string' | 'integer' | 'date';
  jsonPath: string;
  description?: string;
  /** 1: only `-o wide` shows the column */
  priority?: 1;
}

const condition = (member: string) => `.status.conditions[?(@.type=="Ready")].${member}`;

/** A kind of the API group. */
export interface KindDefinition {
  kind: string;
  plural: string;
  shortNames: string[];
  description: string;
  spec: TSchema;
  status: TSchema;
  columns: Column[];
}

/** The columns of every kind, with its own columns between them. */
export const columnsOf = ({ columns }: KindDefinition): Column[] => [
  { name: 'Ready', type: 'string', jsonPath: condition('status') },
  { name: 'Reason', type: 'string', jsonPath: condition('reason') },
  ...columns,
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  { name: 'Message', type: 'string', jsonPath: condition('message'), priority: 1 },
];
