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

/** Labels or annotations, or what selects by them. */
export const Labels = (description: string) =>
  Type.Unsafe<Record<string, string>>({
    type: 'object',
    additionalProperties: { type: 'string' },
    maxProperties: 100,
    description,
  });

/** The reference to a Secret of the same namespace, as Kubernetes' own kinds have it. */
export const SecretRef = (description: string) =>
  Type.Object(
    { name: Type.String({ minLength: 1, maxLength: 253, description: 'Name of the Secret' }) },
    { description, 'x-kubernetes-map-type': 'atomic' },
  );

export const TopicName = (description: string) =>
  Type.String({ pattern: '^[A-Za-z0-9._-]+$', minLength: 1, maxLength: 249, description });

/** What Kubernetes allows as the name of a KafkaTopic is 253 characters; a name that it does not allow gets the suffix -topic. */
export const topicNameRule = (topic: string): Rule => ({
  rule: `${topic}.matches('^[a-z0-9.-]+$') || size(${topic}) <= 247`,
  message: 'a topic with upper-case letters or _ has 247 characters at most, as its KafkaTopic has a longer name',
});

/** A resource whose name becomes a label and part of other names. */
export const labelNameRule: Rule = {
  rule: "size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
  message: 'metadata.name becomes part of other names: lower-case letters, digits and hyphens, 63 at most',
};

export const ConsumerGroup = (description: string) =>
  Type.String({ pattern: '^[A-Za-z0-9._-]+$', minLength: 1, maxLength: 200, description });

/** How long something takes: a whole number with its unit. A field whose name ends in Seconds is one that a Job has, too. */
export const Duration = (description: string, options: { default?: string } = {}) =>
  Type.String({
    pattern: durationPattern,
    maxLength: 20,
    description: `${description}: a whole number with ms, s, m, h or d`,
    ...options,
  });
