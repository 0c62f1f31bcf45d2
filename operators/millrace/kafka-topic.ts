import { topicConfig } from '#platform/kafka';
import type { Topic } from '#platform/declarations';
import { managedBy } from './labels.ts';
import type { KafkaTopic } from './strimzi.ts';

interface KafkaTopicOptions {
  namespace: string;
  /** the Kafka of Strimzi */
  cluster: string;
  replicas: number | undefined;
  /** the label that names the EventService or the StreamQuery that needs the topic */
  madeFor: Readonly<Record<string, string>>;
}

/** The name of the KafkaTopic of a topic: Kafka allows characters in a name that Kubernetes does not. */
export function topicResourceName(topic: string): string {
  const name = topic.toLowerCase().replaceAll(/[^a-z0-9.-]/g, '-');
  return name === topic ? name : `${name.replaceAll(/^[.-]+|[.-]+$/g, '')}-topic`;
}

/** A KafkaTopic as somebody may have made it. */
export type FoundTopic = Pick<KafkaTopic, 'metadata'> & { spec?: Partial<KafkaTopic['spec']> };

/** Kafka's name of the topic that a KafkaTopic is of. */
export const topicNameOf = ({ metadata, spec }: FoundTopic): string => spec?.topicName ?? metadata.name;

/** Whether a KafkaTopic is that of another topic: several names of topics may have the same name as a KafkaTopic. */
export const isOfOtherTopic = (found: FoundTopic, desired: KafkaTopic): boolean =>
  topicNameOf(found) !== topicNameOf(desired);

/** The KafkaTopic of a topic. It has no owner reference, so that no deletion of another object deletes it. */
export function kafkaTopicOf({ name, partitions, retentionMs }: Topic, options: KafkaTopicOptions): KafkaTopic {
  const { namespace, cluster, replicas, madeFor } = options;
  return {
    apiVersion: 'kafka.strimzi.io/v1',
    kind: 'KafkaTopic',
    metadata: {
      namespace,
      name: topicResourceName(name),
      labels: { ...managedBy, 'strimzi.io/cluster': cluster, ...madeFor },
    },
    spec: {
      topicName: name,
      partitions,
      ...(replicas === undefined ? {} : { replicas }),
      config: topicConfig(name, retentionMs),
    },
  };
}
