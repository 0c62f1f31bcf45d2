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

/** Rules over a schema; the API server evaluates them at each create and update. */
export const rules = (...list: Rule[]) => ({ 'x-kubernetes-validations': list });

/** A list whose items are told apart by a member, so that several managers can have their own. */
export const keyedBy = (key: string) => ({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] });

export const Name = (description: string) =>
  Type.String({ pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$', maxLength: 63, description });

export const Topic = (description: string) =>
  Type.String({ pattern: '^[A-Za-z0-9._-]+$', minLength: 1, maxLength: 249, description });

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
    type: Type.String({ description: 'What it is about' }),
    status: Type.Enum(['True', 'False', 'Unknown']),
    reason: Type.String({ description: 'Why, in one word' }),
    message: Type.String({ description: 'Why, for people' }),
    lastTransitionTime: Type.String({ format: 'date-time', description: 'When the status changed last' }),
    observedGeneration: Type.Optional(Type.Integer({ description: 'Generation of the spec that it is about' })),
  }),
  { description: 'How it is; Ready sums the others up', ...keyedBy('type') },
);

export const ObservedGeneration = Type.Integer({ description: 'Generation of the spec that the status is about' });

export const Ttl = Type.Integer({
  minimum: 0,
  description: 'Seconds after its end in which it is deleted; it stays where this is left out',
});

/** A column of `kubectl get`. */
interface Column {
  name: string;
  type: 'string' | 'integer' | 'date';
  jsonPath: string;
  description?: string;
  /** 1: shown by `-o wide` only */
  priority?: 1;
}

const condition = (member: string) => `.status.conditions[?(@.type=="Ready")].${member}`;

/** Everything that a kind is to the API server. */
export interface KindDefinition {
  kind: string;
  plural: string;
  shortNames: string[];
  description: string;
  spec: TSchema;
  status: TSchema;
  columns: Column[];
}

/** What every kind shows; the kind's own columns come between. */
export const columnsOf = ({ columns }: KindDefinition): Column[] => [
  { name: 'Ready', type: 'string', jsonPath: condition('status') },
  { name: 'Reason', type: 'string', jsonPath: condition('reason') },
  ...columns,
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  { name: 'Message', type: 'string', jsonPath: condition('message'), priority: 1 },
];
