import assert from 'node:assert/strict';
import { it } from 'node:test';

import { fine, outcomeOf } from './outcome.ts';
import { KafkaProblem } from './problem.ts';
import { TopicTaken } from './topics.ts';

it('that Kafka does not answer goes before what is wrong with the topics that were looked at until then', () => {
  const taken = new TopicTaken('theirs', 'exists in Kafka');
  const away = new KafkaProblem('KafkaUnavailable', 'no broker answers');
  const outcome = outcomeOf([taken, away], 'shop', 'EventService/orders');
  assert.equal(outcome.reason, 'KafkaUnavailable');
  assert.match(outcome.message, /^no broker answers; the topic theirs exists in Kafka; to hand over: kubectl /);
  const refused = new KafkaProblem('KafkaRefused', 'no');
  assert.equal(outcomeOf([taken, refused], 'shop', 'EventService/orders').reason, 'TopicTaken');
  assert.equal(outcomeOf([], 'shop', 'EventService/orders'), fine);
});
