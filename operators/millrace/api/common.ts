import { Type } from 'typebox';
import type { TSchema } from 'typebox';
import { keyedBy } from '#platform/declaration-schema';
import type { Rule } from '#platform/declaration-schema';

export const group = 'millrace.dev';
/** The version that the operator reads and writes, and in which the API server stores every resource. */
export const version = 'v1beta1';
/** Versions that the API server still serves. Their schema is that of `version`, so that it converts them by their name alone. */
export const deprecatedVersions = ['v1alpha1'] as const;
export const apiVersion = `${group}/${version}`;

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
  { maxItems: 16, description: 'Conditions; Ready sums the others up', ...keyedBy('type') },
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
  /** rules over the resource as a whole, which may also look at its name */
  rules?: readonly Rule[];
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
