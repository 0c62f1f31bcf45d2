import { Type } from 'typebox';
import { durationPattern } from '#platform/declarations';

/** A CEL rule that the API server checks. */
export interface Rule {
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

/** An object that Kubernetes itself knows, and that the operator passes on as it is. */
export const Passed = (description: string) =>
  Type.Unsafe<Record<string, unknown>>({ type: 'object', 'x-kubernetes-preserve-unknown-fields': true, description });

export const TopicName = (description: string) =>
  Type.String({ pattern: '^[A-Za-z0-9._-]+$', minLength: 1, maxLength: 249, description });

export const ConsumerGroup = (description: string) =>
  Type.String({ pattern: '^[A-Za-z0-9._-]+$', minLength: 1, maxLength: 200, description });

export const Duration = (description: string) =>
  Type.String({
    pattern: durationPattern,
    maxLength: 20,
    description: `${description}: a whole number with ms, s, m, h or d`,
  });
