import type { KafkaManager } from '#platform/kafka';
import { isSilence } from '../silent-servers.ts';
import type { SilentServers } from '../silent-servers.ts';
import { KafkaProblem } from './problem.ts';

/** How long Kafka may take to answer a question, in milliseconds. */
const answerMs = 10_000;

/**
 * How long a change may take, in milliseconds: longer than the client itself tries to make one. Who gave up a new topic before would find
 * one that nobody known has made.
 */
const changeMs = 30_000;

/**
 * A manager that keeps nobody waiting. A Kafka that does not answer a question in time is silent for all who use it; a change that takes
 * longer says nothing of other topics and users.
 */
export function boundedManager(manager: KafkaManager, address: string, silent: SilentServers): KafkaManager {
  const ask = <T>(work: () => Promise<T>) => silent.ask(address, work, { ms: answerMs, whose: 'Kafka' });
  const change = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await silent.ask(`${address} ${what}`, work, { ms: changeMs, whose: 'Kafka' });
    } catch (error) {
      if (!isSilence(error)) throw error;
      throw new KafkaProblem('KafkaSlow', `Kafka has not changed ${what} in ${changeMs} ms`, { cause: error });
    }
  };
  const changeTopic = <T>(name: string, work: () => Promise<T>) => change(`the topic ${name}`, work);
  return {
    brokers: () => ask(() => manager.brokers()),
    topic: (name) => ask(() => manager.topic(name)),
    config: (name) => ask(() => manager.config(name)),
    createTopic: (topic) => changeTopic(topic.name, () => manager.createTopic(topic)),
    addPartitions: (name, partitions) => changeTopic(name, () => manager.addPartitions(name, partitions)),
    changeConfig: (name, changes) => changeTopic(name, () => manager.changeConfig(name, changes)),
    deleteTopic: (name) => changeTopic(name, () => manager.deleteTopic(name)),
    keepAcls: (user, acls) => change(`the ACLs of the user ${user}`, () => manager.keepAcls(user, acls)),
    close: () => manager.close(),
  };
}
