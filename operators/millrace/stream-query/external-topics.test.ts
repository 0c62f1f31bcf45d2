import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ApiError } from '#runtime/errors.ts';
import { ManualClock } from '#runtime/testing/manual-clock.ts';
import type { StrimziReadiness } from '../strimzi.ts';
import { ExternalTopics } from './external-topics.ts';

const fine = { ready: true, message: '' };
const failing = (failure: string): StrimziReadiness => ({ ready: false, failure, message: failure });

/** @param answerMs how long Kafka takes for a topic */
function topicsOf(answerMs: number, answers: Record<string, StrimziReadiness | Error>, owned: readonly string[]) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const kafka = {
    async emittedTopic(_: string, __: object, { name }: { name: string }) {
      asked.push(name);
      await clock.advance(answerMs);
      const answer = answers[name] ?? fine;
      if (answer instanceof Error) throw answer;
      return answer;
    },
    topicsOfQueries: () => Promise.resolve(new Set(owned)),
  };
  const topics = new ExternalTopics(kafka, clock);
  const external = { external: { bootstrapServers: 'kafka:9092' } };
  /** @returns which topics Kafka was asked for, how these and the others are, and whether all are looked at */
  const keep = async (wanted: readonly string[]) => {
    asked.length = 0;
    topics.want('shop', external, wanted);
    const { result } = await topics.keep('shop', new AbortController().signal);
    const isOver = result.requeueAfterMs !== 0;
    const how = [...topics.of('shop')].map(([name, { ready, failure, isOwn }]) => [
      name,
      ready ? 'ready' : failure,
      isOwn,
    ]);
    return { asked: [...asked], how, isOver };
  };
  return { keep, answers };
}

describe('the topics of queries in a Kafka that is not Strimzi’s', () => {
  it('are looked at for half a minute at a time, and those that are left come first in the next pass', async () => {
    const wanted = ['a', 'b', 'c', 'd', 'e'];
    const { keep, answers } = topicsOf(16_000, { d: failing('KafkaRefused') }, ['a', 'b', 'c', 'd', 'e']);
    assert.deepEqual(await keep(wanted), {
      asked: ['a', 'b'],
      how: [['a', 'ready', true], ['b', 'ready', true], ...['c', 'd', 'e'].map((name) => [name, undefined, true])],
      isOver: false,
    });
    answers['a'] = failing('NotSupported');
    const second = await keep(wanted);
    assert.deepEqual([second.asked, second.isOver], [['c', 'd'], false]);
    assert.deepEqual(second.how.slice(0, 2), [
      ['a', 'ready', true],
      ['b', 'ready', true],
    ]);
    const third = await keep([...wanted, 'new']);
    assert.deepEqual([third.asked, third.isOver], [['e', 'new'], true]);
    const next = await keep(wanted);
    assert.deepEqual([next.asked, next.isOver], [['a', 'b'], false], 'another round');
    assert.deepEqual(next.how[0], ['a', 'NotSupported', true]);
  });

  it('are their own where the records say so, somebody else’s where Kafka has others, and else unknown', async () => {
    const answers = {
      taken: failing('TopicTaken'),
      slow: failing('KafkaSlow'),
      away: failing('KafkaUnavailable'),
    };
    const { keep } = topicsOf(0, answers, ['mine', 'taken', 'slow']);
    assert.deepEqual(await keep(['mine', 'taken', 'slow', 'away', 'later']), {
      asked: ['mine', 'taken', 'slow', 'away'],
      how: [
        ['mine', 'ready', true],
        ['taken', 'TopicTaken', false],
        ['slow', 'KafkaSlow', true],
        ['away', 'KafkaUnavailable', undefined],
        ['later', 'KafkaUnavailable', undefined],
      ],
      isOver: true,
    });
    assert.deepEqual(await keep([]), { asked: [], how: [], isOver: true });
  });

  it('are whose they were while Kafka does not say it, also where the records still name the queries', async () => {
    const owned = ['mine', 'anew'];
    const { keep, answers } = topicsOf(0, { anew: failing('TopicTaken'), theirs: failing('TopicTaken') }, owned);
    const wanted = ['mine', 'anew', 'theirs'];
    const whose = async () => (await keep(wanted)).how.map(([, , isOwn]) => isOwn);
    assert.deepEqual(await whose(), [true, false, false]);
    for (const failure of ['KafkaUnavailable', 'KafkaLoginRefused', 'KafkaSlow', 'NoKafkaLogin', 'NoCertificates']) {
      for (const topic of wanted) answers[topic] = failing(failure);
      assert.deepEqual(await whose(), [true, false, false], failure);
    }
    for (const topic of wanted) answers[topic] = failing('NotSupported');
    assert.deepEqual(await whose(), [true, true, undefined], 'what is handed over');
  });

  it('hold up no others where the API server refuses the record of one, and all where it fails', async () => {
    const answers: Record<string, Error> = { '..x': new ApiError(422, { reason: 'Invalid' }) };
    const { keep } = topicsOf(0, answers, ['mine']);
    assert.deepEqual(await keep(['..x', 'mine']), {
      asked: ['..x', 'mine'],
      how: [
        ['..x', 'ReconcileRefused', undefined],
        ['mine', 'ready', true],
      ],
      isOver: true,
    });
    answers['..x'] = new ApiError(500);
    await assert.rejects(keep(['..x', 'mine']), answers['..x']);
  });
});
