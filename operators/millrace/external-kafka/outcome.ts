import type { ConditionUpdate } from '#runtime/conditions.ts';
import { isAway } from './problem.ts';
import type { KafkaProblem } from './problem.ts';
import { handOver } from './topic-records.ts';
import { TopicTaken } from './topics.ts';

/** How topics or ACLs are, as a condition says it. */
export type Outcome = Pick<ConditionUpdate, 'status' | 'reason' | 'message'>;

export const fine: Outcome = { status: 'True', reason: 'Created', message: '' };
export const slow: Outcome = {
  status: 'False',
  reason: 'KafkaSlow',
  message: 'Kafka is slow: not all topics are looked at yet',
};
export const failed = ({ reason, message }: KafkaProblem): Outcome => ({ status: 'False', reason, message });

/** What the problems of the topics of an owner mean together: that Kafka is away goes before what one of them has. */
export function outcomeOf(problems: readonly KafkaProblem[], namespace: string, owner: string): Outcome {
  const isOfKafka = ({ reason }: KafkaProblem) => isAway(reason);
  const sorted = [...problems.filter(isOfKafka), ...problems.filter((problem) => !isOfKafka(problem))];
  const [first] = sorted;
  if (!first) return fine;
  const taken = sorted.filter((problem) => problem instanceof TopicTaken).map(({ topic }) => topic);
  const hint = taken.length === 0 ? [] : [`to hand over: ${handOver(namespace, owner, taken)}`];
  return { ...failed(first), message: [...sorted.map(({ message }) => message), ...hint].join('; ') };
}
