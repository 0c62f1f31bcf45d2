import type { logCreator } from 'kafkajs';
import { Repeats } from '#platform/telemetry';
import type { Logger } from '#platform/telemetry';

const levels = { 1: 'warn', 2: 'warn', 4: 'debug', 5: 'trace' } as const;

/** Messages of normal operation, or that the code that uses kafkajs reports; kafkajs logs them as errors or warnings. */
const ordinary =
  /rebalanc|not aware of this member|re-joining|Crash|Response (JoinGroup|SyncGroup|Heartbeat|OffsetCommit|GroupCoordinator)/i;

/**
 * Writes kafkajs's log to ours, one level lower, because the code that uses kafkajs reports what matters. A line that was
 * logged within the last 30 s is only counted.
 */
export function kafkajsLog(log: Logger): logCreator {
  const repeats = new Repeats();
  return () => (entry) => {
    const level = ordinary.test(entry.log.message) ? 'debug' : (levels[entry.level as keyof typeof levels] ?? 'debug');
    if (!log.isLevelEnabled(level)) return;
    const { message, broker, groupId, error } = entry.log as Record<string, unknown>;
    const line = `${entry.namespace}: ${String(message)}`;
    const news = repeats.note(line);
    if (news) log[level]({ broker, groupId, error, ...news }, `kafkajs: ${line}`);
  };
}
