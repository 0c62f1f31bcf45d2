import type { KafkaManager } from '#platform/kafka';
import { ServerBusy, isSilence } from '../silent-servers.ts';
import type { SilentServers } from '../silent-servers.ts';
import { KafkaProblem, isRefusal } from './problem.ts';

type NewTopic = Parameters<KafkaManager['createTopic']>[0];
type MadeTopic = NonNullable<Awaited<ReturnType<KafkaManager['createTopic']>>>;

/** A manager that keeps nobody waiting. */
export interface BoundedManager extends Omit<KafkaManager, 'createTopic'> {
  /**
   * As of a KafkaManager.
   * @param begin happens just before Kafka is asked, and not where it is not asked at all
   * @param end is told the new topic, or undefined where Kafka refuses to make one, also when nobody waits for it any more
   * @returns undefined if the topic exists already: perhaps an earlier attempt of the client has made it, whose answer is lost
   */
  createTopic(
    topic: NewTopic,
    begin: () => Promise<void>,
    end: (made: MadeTopic | undefined) => Promise<void>,
  ): Promise<MadeTopic | undefined>;
}

/** How long Kafka may take to answer a question, in milliseconds. */
const answerMs = 10_000;

/** How long one waits for a change, in milliseconds. kafkajs itself may try for more than a minute, and goes on then. */
const changeMs = 30_000;

/**
 * A manager whose Kafka is silent for all who use it where it does not answer a question in time; a change that takes longer says nothing
 * of other topics and users.
 * @param signal after which Kafka is asked for nothing more
 */
export function boundedManager(
  manager: KafkaManager,
  { address, silent, signal }: { address: string; silent: SilentServers; signal: AbortSignal },
): BoundedManager {
  const inTurn = async <T>(what: string, ms: number, work: () => Promise<T>): Promise<T> => {
    try {
      return await silent.ask(what, work, { ms, whose: 'Kafka', signal });
    } catch (error) {
      if (!(error instanceof ServerBusy)) throw error;
      throw new KafkaProblem('KafkaSlow', error.message, { cause: error });
    }
  };
  const ask = <T>(work: () => Promise<T>) => inTurn(address, answerMs, work);
  const change = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await inTurn(`${address} ${what}`, changeMs, work);
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
    createTopic: (topic, begin, end) =>
      changeTopic(topic.name, async () => {
        await begin();
        const made = await manager.createTopic(topic).catch(async (error: unknown) => {
          if (isRefusal(error)) await end(undefined);
          throw error;
        });
        if (made) await end(made);
        return made;
      }),
    addPartitions: (name, partitions) => changeTopic(name, () => manager.addPartitions(name, partitions)),
    changeConfig: (name, changes) => changeTopic(name, () => manager.changeConfig(name, changes)),
    deleteTopic: (name) => changeTopic(name, () => manager.deleteTopic(name)),
    keepAcls: (user, acls) => change(`the ACLs of the user ${user}`, () => manager.keepAcls(user, acls)),
    close: () => manager.close(),
  };
}
