import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { testKafka } from '#test/kafka.ts';
import type { Plan, Step } from './foreign-producer.ts';

const foreignProducer = fileURLToPath(import.meta.resolve('./foreign-producer.ts'));

/** Lets a foreign producer run steps. */
export async function produceForeign(topic: string, steps: Step[]): Promise<void> {
  const plan: Plan = { brokers: testKafka().brokers.split(','), topic, steps };
  const child = spawn(process.execPath, ['--no-warnings', foreignProducer], { stdio: ['pipe', 'inherit', 'inherit'] });
  child.stdin.end(JSON.stringify(plan));
  const [code] = (await once(child, 'exit')) as [number | null];
  assert.equal(code, 0, 'the foreign producer failed');
}
