import { topicConfig } from '#platform/kafka';
import type { Topic } from '#platform/declarations';
import { madeForLabel, managedBy } from './labels.ts';
import type { KafkaTopic } from './strimzi.ts';

/** Where a topic is made, and for whom. */
export interface TopicPlace {
  namespace: string;
  /** the Strimzi Kafka */
  cluster: string;
  replicas: number | undefined;
  /** the name of the resource that it is made for */
  madeFor: string;
}

/** The name of the resource of a topic: topics may have names that resources may not. */
export function topicResourceName(topic: string): string {
  const name = topic.toLowerCase().replaceAll(/[^a-z0-9.-]/g, '-');
  return name === topic ? name : `${name.replaceAll(/^[.-]+|[.-]+$/g, '')}-topic`;
}

/** The KafkaTopic that Strimzi makes a topic from. It has no owner: it goes only when somebody deletes it. */
export function kafkaTopicOf({ name, partitions, retentionMs }: Topic, place: TopicPlace): KafkaTopic {
  const { namespace, cluster, replicas, madeFor } = place;
  return {
    apiVersion: 'kafka.strimzi.io/v1',
    kind: 'KafkaTopic',
    metadata: {
      namespace,
      name: topicResourceName(name),
      labels: { ...managedBy, 'strimzi.io/cluster': cluster, [madeForLabel]: madeFor },
    },
    spec: {
      topicName: name,
      partitions,
      ...(replicas === undefined ? {} : { replicas }),
      config: topicConfig(retentionMs),
    },
  };
}
